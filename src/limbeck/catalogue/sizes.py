"""What a method adds between two sites of common size: learnt numbers, and multiplications in matrix products."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from limbeck.associations.family import Association
from limbeck.context import Context, Heads
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link, Match
from limbeck.losses.family import FeatureLoss, InformedLoss
from limbeck.projectors.family import Projector

# Channels that 12 attention heads of queries, keys and values divide.
STUDENT = FeatureSpec("layer3", "BCHW", 144, 64, (8, 8))
TEACHER = FeatureSpec("layer3", "BCHW", 576, 64, (8, 8))
LINK = Link(STUDENT, TEACHER)
EQUAL = Link(TEACHER, TEACHER)
BATCH, CLASSES = 16, 100


def learnt(cls: type) -> int | None:
    """How many numbers it learns; ``None`` where the question has no meaning."""
    if not issubclass(cls, FeatureLoss | Projector | Association):
        return None
    return sum(each.numel() for each in _built(cls).parameters())


def multiplications(cls: type) -> float | None:
    """Millions of multiplications in a forward of 16 samples; ``None`` where the question has no meaning."""
    if issubclass(cls, Projector):
        projector = _built(cls)
        return _counted(lambda: projector(_feature(STUDENT)))
    if not issubclass(cls, FeatureLoss):
        return None
    loss, link = _built(cls), _link(cls)
    pair = _feature(link.student), _feature(link.teacher)
    context = Context(targets=torch.arange(BATCH), keys=torch.arange(BATCH).repeat(2, 1).T)
    return _counted(lambda: loss(*pair, context) if isinstance(loss, InformedLoss) else loss(*pair))


def _built(cls: type[FeatureLoss | Projector | Association]) -> torch.nn.Module:
    """One between the two sites."""
    if issubclass(cls, FeatureLoss):
        link = _link(cls)
        student, teacher = (torch.nn.Linear(each.channels, CLASSES) for each in (link.student, link.teacher))
        return cls.for_link(link, Heads(student, teacher), **_given(cls.for_link, samples=BATCH))
    if issubclass(cls, Projector):
        return cls.for_link(LINK, **_given(cls.for_link, most_positions=LINK.teacher.positions))
    return cls.for_links([LINK])


def _link(cls: type[FeatureLoss]) -> Link:
    """The two sites as a projector leaves them, where the loss needs one."""
    return EQUAL if Match.CHANNELS in cls.needs else LINK


def _given(make: Callable[..., object], **options: int) -> dict[str, int]:
    """Those of the options that the method has."""
    known = inspect.signature(make).parameters
    return {name: value for name, value in options.items() if name in known}


def _counted(run: Callable[[], object]) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    # A multiplication and an addition count as two there.
    return round(counter.get_total_flops() / 2e6, 2)


def _feature(spec: FeatureSpec) -> Feature:
    generator = torch.Generator().manual_seed(0)
    return Feature(torch.randn(BATCH, spec.positions, spec.channels, generator=generator), spec.grid)
