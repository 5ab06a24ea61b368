"""Every class that stands in the catalogue of a family, and the sites that its checks join."""

import inspect
from types import ModuleType

import pytest
from known_failures import KNOWN_FAILURES

from limbeck.context import Context
from limbeck.links import FeatureSpec, Link
from limbeck.outputs import CrossEntropy, Given

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

PROJECTED = {
    "Linear": [
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
    ],
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
TARGETED = {
    "LayerNorm": [Link(MAP, LARGE_MAP), Link(VECTOR, WIDE_VECTOR), Link(TEXT, WIDE_TEXT)],
    "PoolGrid": [Link(MAP, LARGE_MAP), Link(VECTOR, LARGE_MAP), Link(MAP, WIDE_PATCHES), Link(VECTOR, FOUR_WORDS)],
    "PoolVector": [Link(MAP, LARGE_MAP), Link(VECTOR, WIDE_VECTOR), Link(MAP, WIDE_PATCHES), Link(VECTOR, WIDE_TEXT)],
    "Standardise": [Link(MAP, LARGE_MAP), Link(VECTOR, WIDE_VECTOR), Link(TEXT, WIDE_TEXT)],
}


def by_label(logits, targets):
    """A task loss as a user would write it: a function of the module, so that it can be pickled."""
    return CrossEntropy()(Context(targets, student_output=logits))


BUILT = {Given: lambda: Given(by_label)}
"""How to build what has no options that suit the checks."""


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
