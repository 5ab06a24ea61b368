"""A target whose channels count by their effect on the teacher's answers."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from limbeck.context import Heads
from limbeck.errors import ShapeMismatch, TeacherError
from limbeck.features import Feature
from limbeck.links import Link
from limbeck.targets.family import FittedTarget
from limbeck.targets.statistics import Moments, require_spread

_NO_HEADS = Heads()


class ChannelWeights(FittedTarget):
    r"""Weigh every channel of the teacher's last feature by how much it moves the teacher's logits.

    Our choice: with the weights $W$ of the teacher's last linear layer, a squared error becomes the error in the logits
    that each channel causes by itself,

    $$ \frac{a_c}{\bar\sigma} (t_{bnc} - \mu_c), \qquad a_c = \lVert W_{\cdot c} \rVert_2, \qquad
       \bar\sigma^2 = \frac1C \sum_c a_c^2 \sigma_c^2 $$

    with mean $\mu$ and deviation $\sigma$ over samples and valid positions, taken once and frozen. A channel that the
    head does not read asks for nothing. An MSE of 1 means that nothing is explained.

    Shapes: ``[B, N, C]`` to ``[B, N, C]``, in float32 at least; ``C`` as the teacher's head takes it.

    Args:
        channels: ``C``.

    Raises:
        ShapeMismatch: if the site is not what the teacher's head reads.
        TeacherError: if it is fitted without the teacher's head, used before :meth:`fit`, or fitted on features that
            are not finite or do not reach the head.

    Example:
        >>> from limbeck.links import FeatureSpec
        >>> link = Link(FeatureSpec("fc", "BC", 2), FeatureSpec("pool", "BC", 2, role="head"))
        >>> head = torch.nn.Linear(2, 1)
        >>> head.weight.data = torch.tensor([[1.0, 0.0]])   # it does not read the second channel
        >>> target = ChannelWeights.for_link(link, Heads(teacher=head))
        >>> teacher = Feature(torch.tensor([[[1.0, 5.0]], [[3.0, 9.0]]]))
        >>> target.fit([teacher])
        >>> target(teacher).x.flatten(1).round(decimals=3)
        tensor([[-1.4140, -0.0000],
                [ 1.4140,  0.0000]])
    """

    keeps_channels: ClassVar[bool] = False
    requires: ClassVar[frozenset[str]] = frozenset({"teacher_head"})
    effect: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(self, channels: int, /) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("effect", torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("factor", torch.ones(channels))

    @classmethod
    def for_link(cls, link: Link, heads: Heads = _NO_HEADS, /) -> ChannelWeights:
        """Build one with the sizes of a link; without the teacher's head it only describes what comes out."""
        teacher, head = link.teacher, heads.teacher
        target = cls(teacher.channels)
        if head is None:
            return target
        if teacher.role != "head" or head.in_features != teacher.channels:
            raise ShapeMismatch(
                f"ChannelWeights is for what the teacher's head reads, {head.in_features} channels. Found "
                f"{teacher.channels} at '{teacher.site}' ({teacher.role}). Link the head's input (mapping: {{kind: "
                "HeadInput}), or use Standardise."
            )
        target.effect.copy_(torch.linalg.vector_norm(head.weight.detach().float(), dim=0))
        return target

    def statistics(self) -> Moments:
        """Mean and variance of every channel over all samples and valid positions, in float64."""
        if not self.effect.any():
            raise TeacherError(
                "ChannelWeights needs the weights of the teacher's last linear layer. Found none, or all zero. Use a "
                "teacher that ends in a linear layer, or the target Standardise."
            )
        return Moments(self.channels)

    @torch.no_grad()
    def settle(self, statistics: Moments, /) -> None:
        """Freeze mean and deviation."""
        effect = self.effect.cpu().double()
        variance = effect.square() * statistics.spread
        require_spread("ChannelWeights", statistics.positions, statistics.mean, variance)
        self.mean.copy_(statistics.mean)
        self.factor.copy_(effect / variance.mean().sqrt())
        self.now_fitted()

    def forward(self, teacher: Feature, /) -> Feature:
        """Weigh with the frozen statistics."""
        self.require_fitted()
        return teacher.holding((teacher.x - self.mean) * self.factor)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.channels}"
