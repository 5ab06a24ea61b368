"""A target of one vector for each sample."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from limbeck._math.resize import resize
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.targets.family import Target


class PoolVector(Target):
    r"""Take what the teacher's head reads: its summary token if it reads one, else the mean over valid positions.

    The features that "Understanding the Role of the Projector in Knowledge Distillation" (Miles & Mikolajczyk, AAAI
    2024), https://arxiv.org/abs/2303.11098, compares:

    $$ \frac{1}{|V_b|} \sum_{n \in V_b} t_{bn} \qquad \text{or} \qquad t_{b, \text{summary}} $$

    The only target for which the positions of both sides need not correspond: another tokeniser, a sequence against a
    map.

    Shapes: ``[B, N, C]`` to ``[B, 1, C]``.

    Example:
        >>> import torch
        >>> PoolVector()(Feature(torch.tensor([[[1.0], [3.0]]]), grid=(2,))).x
        tensor([[[2.]]])
    """

    keeps_channels: ClassVar[bool] = True

    @classmethod
    def for_link(cls, link: Link, /) -> PoolVector:  # noqa: ARG003 - part of the contract
        """Build one; it needs no sizes."""
        return cls()

    def forward(self, teacher: Feature, /) -> Feature:
        """Pool."""
        return resize(teacher, ())

    def describe(self, spec: FeatureSpec, /) -> FeatureSpec:
        """The teacher's spec as a vector."""
        return dataclasses.replace(spec, positions=1, grid=None, prefix=0, summary=None, variable=False)
