"""Random features and logits for checks, all on the default device and of the default dtype."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limbeck.features import Feature
from limbeck.links import FeatureSpec, Match

STUDENT_CHANNELS, TEACHER_CHANNELS = 5, 7


def normal(*shape: int, seed: int = 0, dtype: torch.dtype | None = None) -> Float[Tensor, "*shape"]:
    """Normal numbers that depend on nothing but the arguments."""
    generator = torch.Generator(device=torch.get_default_device()).manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def random_mask(batch: int, positions: int, *, seed: int = 0) -> Bool[Tensor, "B N"]:
    """About a third of the positions marked as padding, at least one position of every sample valid."""
    mask = normal(batch, positions, seed=seed) > -0.4
    mask[:, seed % positions] = True
    return mask


def feature_pair(
    needs: Match, *, batch: int = 8, seed: int = 0, dtype: torch.dtype | None = None, groups: int = 1
) -> tuple[Feature, Feature]:
    """A student's and a teacher's feature that agree in what ``needs`` names, and in nothing else if possible.

    Their channels split into ``groups`` of one size.
    """
    channels = STUDENT_CHANNELS if Match.CHANNELS in needs else TEACHER_CHANNELS
    positions = 6 if needs & (Match.POSITIONS | Match.GRID) else 4
    student = normal(batch, 6, groups * STUDENT_CHANNELS, seed=seed, dtype=dtype)
    teacher = normal(batch, positions, groups * channels, seed=seed + 1, dtype=dtype)
    return Feature(student, (6,)), Feature(teacher, (positions,))


def feature_of(
    spec: FeatureSpec, *, batch: int = 4, seed: int = 0, masked: bool = False, dtype: torch.dtype | None = None
) -> Feature:
    """A feature as a site with this spec gives it."""
    x = normal(batch, spec.positions, spec.channels, seed=seed, dtype=dtype)
    mask = None
    if masked:
        mask = random_mask(batch, spec.positions, seed=seed)
        mask[:, : spec.prefix] = True
    body = spec.positions - spec.prefix
    grid = spec.grid if spec.grid is None or math.prod(spec.grid) == body else (body,)
    return Feature(x, grid, spec.prefix, mask, spec.summary)


def with_other_padding(feature: Feature) -> Feature:
    """The same feature with other, larger values where its mask hides them."""
    if feature.mask is None:
        return feature
    noise = 100 * normal(*feature.x.shape, seed=5)
    return feature._replace(x=torch.where(feature.mask.unsqueeze(-1), feature.x, noise))


def with_gradient(feature: Feature) -> Feature:
    """The same feature as a leaf that gathers a gradient."""
    return feature._replace(x=feature.x.detach().clone().requires_grad_())


def gradient_of(value: Float[Tensor, ""], x: Tensor) -> Tensor:
    """The gradient of a scalar, zeros where it does not depend on ``x``."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(value, x, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient
