"""A target whose positions all have length 1."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F

from limbeck.features import Feature
from limbeck.links import Link
from limbeck.targets.family import Target


class Normalise(Target):
    r"""Divide every position of the teacher by its length; nothing to fit.

    As in "Patient Knowledge Distillation for BERT Model Compression" (Sun et al., EMNLP 2019),
    https://arxiv.org/abs/1908.09355, eq. 7:

    $$ \frac{t_{bn}}{\max(\lVert t_{bn} \rVert_2, \, \epsilon)} $$

    so that only directions are learnt. The paper normalises the student too: a loss that does, such as Cosine, needs no
    target for it.

    Shapes: ``[B, N, C]`` to ``[B, N, C]``, in float32 at least.

    Args:
        eps: smallest length; default: torch's normalize.

    Example:
        >>> import torch
        >>> Normalise()(Feature(torch.tensor([[[3.0, 4.0]]]))).x
        tensor([[[0.6000, 0.8000]]])
    """

    keeps_channels: ClassVar[bool] = False

    def __init__(self, *, eps: float = 1e-12) -> None:
        super().__init__()
        self.eps = eps

    @classmethod
    def for_link(cls, link: Link, /, *, eps: float = 1e-12) -> Normalise:  # noqa: ARG003 - part of the contract
        """Build one; it needs no sizes."""
        return cls(eps=eps)

    def forward(self, teacher: Feature, /) -> Feature:
        """Scale each position."""
        return teacher.holding(F.normalize(teacher.full_precision().x, dim=-1, eps=self.eps))

    def extra_repr(self) -> str:
        """Options."""
        return f"eps={self.eps}"
