"""Softmax regression representation learning."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import both_valid, masked_mean, zeroed
from limbeck.context import Heads
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.losses.family import FeatureLoss
from limbeck.losses.frozen_head import FrozenHead, head_of
from limbeck.losses.sizes import require_channels


class SRRL(FeatureLoss):
    r"""Predict the teacher's values so that the teacher's own head, reading them, answers as it does.

    From "Knowledge Distillation via Softmax Regression Representation Learning" (Yang et al., ICLR 2021),
    https://openreview.net/forum?id=ZzwDy_wiWv:

    $$ \frac{w_f}{|V| \, C} \sum_{(b, n) \in V} \sum_c (s_{bnc} - t_{bnc})^2
       + \frac{w_z}{B K} \sum_b \sum_k \bigl(z(\bar s_b)_k - z(\bar t_b)_k\bigr)^2, \qquad z(x) = W_t x + b_t $$

    over the positions $V$ that are valid on both sides, with $\bar s_b$ and $\bar t_b$ what the teacher's head reads of
    them, and $W_t, b_t$ its weights, frozen. The link must end at what the head reads. ``logits=0`` leaves the loss of
    SimKD (Chen et al., CVPR 2022), https://arxiv.org/abs/2203.14001, which is the MSE; ``feature=0`` judges the feature
    by the teacher's answers alone.

    Differs from the paper: the projector is whatever stands in front, where the paper takes a convolution with batch
    norm and ReLU.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        channels: ``C``.
        classes: ``K``.
        feature: $w_f$; default 1: official code.
        logits: $w_z$; default 1: official code.

    Raises:
        ShapeMismatch: if channels or positions differ, or the channels are not those that the head reads.
        RecipeError: if a weight is negative, or both are 0.
        PlanMismatch: if it is built for a teacher without a linear head.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from limbeck.links import FeatureSpec
        >>> head = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.ones_(head.weight)
        >>> spec = FeatureSpec("pool", "BC", 2)
        >>> loss = SRRL.for_link(Link(spec, spec), Heads(None, head))
        >>> student, teacher = Feature(torch.zeros(1, 1, 2)), Feature(torch.tensor([[[1.0, 3.0]]]))
        >>> loss(student, teacher)   # (1 + 9) / 2 for the feature, (1 + 3) squared for the answer
        tensor(21.)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS
    requires: ClassVar[frozenset[str]] = frozenset({"teacher_head"})
    needs_raw_target: ClassVar[bool] = True

    def __init__(self, channels: int, classes: int, /, *, feature: float = 1.0, logits: float = 1.0) -> None:
        super().__init__()
        if min(feature, logits) < 0 or max(feature, logits) == 0:
            raise RecipeError(
                "SRRL needs weights of at least 0, one of them above it. Found "
                f"feature={feature}, logits={logits}. The official code takes 1 and 1."
            )
        self.channels = channels
        self.classes = classes
        self.feature = feature
        self.logits = logits
        self.head = FrozenHead(channels, classes)

    @classmethod
    def for_link(cls, link: Link, heads: Heads, /, *, feature: float = 1.0, logits: float = 1.0) -> SRRL:
        """Build one for the teacher's head."""
        head = head_of(link.teacher, heads.teacher, cls.__name__, "teacher")
        loss = cls(head.in_features, head.out_features, feature=feature, logits=logits)
        loss.head.copy(head)
        return loss

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        require_channels(self, "teacher", teacher, self.channels)
        valid = both_valid(student.mask, teacher.mask)
        error = (zeroed(student.x, valid) - zeroed(teacher.x, valid)).square().mean(-1)
        # Both are read where the teacher's head reads.
        mine, theirs = (self.head(teacher._replace(x=x, mask=valid).pooled()) for x in (student.x, teacher.x))
        return self.feature * masked_mean(error, valid) + self.logits * (mine - theirs).square().mean()

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{self.channels}, {self.classes}, feature={self.feature}, logits={self.logits}"
