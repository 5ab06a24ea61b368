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


def sizes(cls: type) -> tuple[int | None, float | None]:
    """Learnt numbers, and millions of multiplications in a forward of 16 samples; ``None`` where meaningless."""
    if issubclass(cls, FeatureLoss):
        return _of_loss(cls)
    if issubclass(cls, Projector):
        projector = cls.for_link(LINK, **_given(cls.for_link, most_positions=LINK.teacher.positions))
        return projector.parameter_count, _multiplications(lambda: projector(_feature(STUDENT)))
    if issubclass(cls, Association):
        association = cls.for_links([LINK])
        return sum(each.numel() for each in association.parameters()), None
    return None, None


def _of_loss(cls: type[FeatureLoss]) -> tuple[int, float]:
    link = EQUAL if Match.CHANNELS in cls.needs else LINK
    heads = Heads(*(torch.nn.Linear(each.channels, CLASSES) for each in (link.student, link.teacher)))
    loss = cls.for_link(link, heads, **_given(cls.for_link, samples=BATCH))
    pair = _feature(link.student), _feature(link.teacher)
    context = Context(targets=torch.arange(BATCH), keys=torch.arange(BATCH).repeat(2, 1).T)
    informed = isinstance(loss, InformedLoss)
    multiplications = _multiplications(lambda: loss(*pair, context) if informed else loss(*pair))
    return sum(each.numel() for each in loss.parameters()), multiplications


def _given(make: Callable[..., object], **options: int) -> dict[str, int]:
    """Those of the options that the method has."""
    known = inspect.signature(make).parameters
    return {name: value for name, value in options.items() if name in known}


def _multiplications(run: Callable[[], object]) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    # A multiplication and an addition count as two there.
    return round(counter.get_total_flops() / 2e6, 2)


def _feature(spec: FeatureSpec) -> Feature:
    generator = torch.Generator().manual_seed(0)
    return Feature(torch.randn(BATCH, spec.positions, spec.channels, generator=generator), spec.grid)
