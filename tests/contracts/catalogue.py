"""Every class that stands in the catalogue of a family, and the sites that its checks join."""

import inspect
from types import ModuleType

import pytest
from known_failures import KNOWN_FAILURES
from torch import nn

from limbeck import losses
from limbeck.context import Context, Heads
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.outputs import CrossEntropy, Given, TopKSoftLabels
from limbeck.testing.arguments import arguments
from limbeck.testing.samples import normal

VECTOR = FeatureSpec("fc", "BC", 6)
WIDE_VECTOR = FeatureSpec("pool", "BC", 10)
MAP = FeatureSpec("stage2", "BCHW", 6, 36, (6, 6))
SMALL_MAP = FeatureSpec("layer4", "BCHW", 10, 4, (2, 2))
LARGE_MAP = FeatureSpec("layer1", "BCHW", 10, 64, (8, 8))
PATCHES = FeatureSpec("blocks.3", "BNC", 6, 17, (4, 4), prefix=1, summary=0)
WIDE_PATCHES = FeatureSpec("blocks.11", "BNC", 10, 17, (4, 4), prefix=1, summary=0)
TEXT = FeatureSpec("layer.1", "BNC", 6, 9, (9,), summary=0, variable=True)
WIDE_TEXT = FeatureSpec("encoder.5", "BNC", 10, 9, (9,), variable=True)
FOUR_WORDS = FeatureSpec("encoder.5", "BNC", 10, 4, (4,))
SERIES = FeatureSpec("conv3", "BCL", 6, 20, (20,))
ONE_PIXEL = FeatureSpec("avgpool", "BCHW", 10, 1, (1, 1))
HEAD_INPUT = FeatureSpec("pool", "BC", 10, role="head")
HEAD_MAP = FeatureSpec("layer4", "BCHW", 10, 36, (6, 6), role="head")

JOINED = [
    Link(VECTOR, WIDE_VECTOR),
    Link(MAP, WIDE_VECTOR),
    Link(PATCHES, WIDE_VECTOR),
    Link(TEXT, WIDE_VECTOR),
    Link(MAP, SMALL_MAP),
    Link(MAP, LARGE_MAP),
    Link(PATCHES, SMALL_MAP),
    Link(PATCHES, WIDE_PATCHES),
    Link(TEXT, WIDE_TEXT),
    Link(TEXT, FOUR_WORDS),
    Link(SERIES, FOUR_WORDS),
    Link(MAP, MAP),
    Link(MAP, ONE_PIXEL),
    Link(VECTOR, ONE_PIXEL),
    Link(TEXT, ONE_PIXEL),
]
"""What a projector that works position by position must join."""
ON_GRIDS = [
    Link(MAP, SMALL_MAP),
    Link(MAP, LARGE_MAP),
    Link(PATCHES, SMALL_MAP),
    Link(TEXT, WIDE_TEXT),
    Link(SERIES, FOUR_WORDS),
    Link(MAP, MAP),
]
PROJECTED = {
    "Conv": ON_GRIDS,
    "ConvBottleneck": ON_GRIDS,
    "CrossAttention": [
        Link(MAP, WIDE_VECTOR),
        Link(MAP, SMALL_MAP),
        Link(MAP, WIDE_PATCHES),
        Link(PATCHES, LARGE_MAP),
        Link(TEXT, FOUR_WORDS),
        Link(SERIES, SMALL_MAP),
        Link(MAP, MAP),
    ],
    "Ensemble": JOINED,
    "Linear": JOINED,
    "LinearBatchNorm": JOINED,
    "MLP": JOINED,
    "Orthogonal": JOINED,
    "PositionLinear": [
        Link(VECTOR, WIDE_VECTOR),
        Link(VECTOR, SMALL_MAP),
        Link(MAP, SMALL_MAP),
        Link(VECTOR, FOUR_WORDS),
    ],
    "Resample": [
        Link(MAP, WIDE_VECTOR),
        Link(MAP, SMALL_MAP),
        Link(MAP, LARGE_MAP),
        Link(PATCHES, SMALL_MAP),
        Link(TEXT, WIDE_TEXT),
        Link(TEXT, FOUR_WORDS),
        Link(MAP, MAP),
    ],
}
POSITIONWISE = [Link(MAP, LARGE_MAP), Link(VECTOR, WIDE_VECTOR), Link(TEXT, WIDE_TEXT)]
"""What a target that works position by position must take."""
TARGETED = {
    "Centre": POSITIONWISE,
    "ChannelWeights": [Link(VECTOR, HEAD_INPUT), Link(MAP, HEAD_MAP)],
    "LayerNorm": POSITIONWISE,
    "Normalise": POSITIONWISE,
    "PCA": POSITIONWISE,
    "PHIS": POSITIONWISE,
    "PoolGrid": [Link(MAP, LARGE_MAP), Link(VECTOR, LARGE_MAP), Link(MAP, WIDE_PATCHES), Link(VECTOR, FOUR_WORDS)],
    "PoolVector": [Link(MAP, LARGE_MAP), Link(VECTOR, WIDE_VECTOR), Link(MAP, WIDE_PATCHES), Link(VECTOR, WIDE_TEXT)],
    "Standardise": POSITIONWISE,
}


def by_label(logits, targets):
    """A task loss as a user would write it: a function of the module, so that it can be pickled."""
    return CrossEntropy()(Context(targets, student_output=logits))


def with_heads(cls, *channels):
    """A loss that reads features through heads of 3 classes, both drawn from the seed."""
    mine, theirs = (FeatureSpec("a", "BCHW", each, 36, (6, 6)) for each in channels)
    heads = Heads(*(seeded(nn.Linear(size, 3)) for size in channels))
    return cls.for_link(Link(mine, theirs), heads)


def seeded(module):
    """The module with parameters that no first step could have: those that start at zero or one would hide mistakes."""
    for number, parameter in enumerate(module.parameters()):
        parameter.data += 0.3 * normal(*parameter.shape, seed=50 + number)
    return module


def remembering(loss, *channels):
    """The loss after one batch of training, in evaluation, where it remembers no more: two calls compare."""
    student, teacher = (Feature(normal(8, 6, size, seed=60 + size)) for size in channels)
    loss(*arguments(loss, student, teacher))
    return loss.eval()


BUILT = {
    Given: lambda: Given(by_label),
    losses.CATKD: lambda: with_heads(losses.CATKD, 5, 7),
    losses.CRD: lambda: remembering(losses.CRD(16, 5, 7, negatives=None, embedding=4), 5, 7),
    # Random masks would make two calls incomparable.
    losses.MGD: lambda: losses.MGD(5, axes=1, hidden_channels=0.0),
    losses.NORM: lambda: seeded(losses.NORM(5, 7, expansion=3)),
    losses.OFD: lambda: remembering(losses.OFD(5, batches=1), 5, 5).train(),
    losses.PAD: lambda: seeded(losses.PAD(5)),
    losses.SRRL: lambda: with_heads(losses.SRRL, 5, 5),
    losses.VID: lambda: seeded(losses.VID(5)),
    # Fewer than there are classes, so that there is a rest.
    TopKSoftLabels: lambda: TopKSoftLabels(k=3),
}
"""How to build what has no options that suit the checks."""


def target_of(cls, link: Link):
    """A target for a link, with a teacher's head where it requires one."""
    heads = [Heads(teacher=nn.Linear(link.teacher.channels, 3))] if "teacher_head" in cls.requires else []
    return cls.for_link(link, *heads)


def built(family: ModuleType) -> list:
    """One of each class of a family."""
    return [BUILT.get(cls, cls)() for cls in classes(family)]


def classes(family: ModuleType) -> list[type]:
    """The methods of a family: its catalogue without the contract."""
    found = [getattr(family, name) for name in family.__all__]
    return [each for each in found if not inspect.isabstract(each)]


def one_test_per_check(subjects: list, checks) -> list:
    """Parameters (subject, check); a known failure must fail."""
    parameters = []
    for subject in subjects:
        cls = subject if isinstance(subject, type) else type(subject)
        for check in checks(subject):
            reason = KNOWN_FAILURES.get(cls, {}).get(check.__name__)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            parameters.append(pytest.param(subject, check, id=f"{cls.__name__}-{check.__name__}", marks=marks))
    return parameters


def named(parameters: list[tuple[type, Link]]) -> list[str]:
    """Readable names for (class, link) parameters."""
    return [f"{cls.__name__}-{link.student.site}-{link.teacher.site}" for cls, link in parameters]
