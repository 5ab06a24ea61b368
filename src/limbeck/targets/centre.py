"""A target without what all samples of a batch have in common."""

from __future__ import annotations

from typing import ClassVar

from limbeck._math.masking import zeroed
from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Link
from limbeck.targets.family import Target


class Centre(Target):
    r"""Subtract from every value its mean over the samples of the batch; nothing to fit.

    As "Similarity of Neural Network Representations Revisited" (Kornblith et al., ICML 2019),
    https://arxiv.org/abs/1905.00414, does before Gram matrices are compared:

    $$ t_{bnc} - \frac{1}{|V_n|} \sum_{a \in V_n} t_{anc} $$

    over the samples $V_n$ whose position $n$ is valid; what is not valid becomes zero. Meant for both sides, before a
    loss that compares samples: behind a ReLU all values are positive, so that all samples resemble each other, and
    their mean is what they have in common.

    Shapes: ``[B, N, C]`` to ``[B, N, C]``, in float32 at least.

    Raises:
        ShapeMismatch: if the batch holds one sample, which is its own mean.

    Example:
        >>> import torch
        >>> Centre()(Feature(torch.tensor([[[1.0]], [[3.0]]]))).x.flatten()
        tensor([-1.,  1.])
    """

    keeps_channels: ClassVar[bool] = True
    minimum_batch: ClassVar[int] = 2

    @classmethod
    def for_link(cls, link: Link, /) -> Centre:  # noqa: ARG003 - part of the contract
        """Build one; it needs no sizes."""
        return cls()

    def forward(self, teacher: Feature, /) -> Feature:
        """Centre."""
        if len(teacher.x) < self.minimum_batch:
            raise ShapeMismatch(
                f"Centre needs at least {self.minimum_batch} samples in a batch. Found {len(teacher.x)}. Use a larger "
                "batch, drop_last=True, or leave it out."
            )
        x, mask = teacher.full_precision().x, teacher.mask
        count = len(x) if mask is None else mask.sum(0).clamp_min(1).to(x.dtype).unsqueeze(-1)
        return teacher.holding(zeroed(x - zeroed(x, mask).sum(0) / count, mask))
