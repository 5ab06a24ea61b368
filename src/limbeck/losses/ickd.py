"""Inter-channel correlation."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import zeroed
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.samplewise import SamplewiseLoss


class ICKD(SamplewiseLoss):
    r"""Match which channels are active together within a sample.

    From "Exploring Inter-Channel Correlation for Diversity-Preserved Knowledge Distillation" (Liu et al., ICCV 2021),
    https://arxiv.org/abs/2202.03680:

    $$ \frac{1}{B \, C} \sum_b \lVert G^s_b - G^t_b \rVert_F^2, \qquad
       G = \text{rows of } X^\top X \text{ scaled to length } 1 $$

    with $X$ the ``[N, C]`` valid positions of a sample, each side by itself: the two need neither the same grid nor the
    same number of positions. Prefix tokens do not take part, and a sample without a valid position on either side does
    not count.

    Differs from the paper, as the official code does: divided by $C$ instead of $C^2$. torchdistill divides by $B$ once
    more.

    Shapes: student ``[B, Ns, C]``, teacher ``[B, Nt, C]``.

    Raises:
        ShapeMismatch: if channels differ.

    Example:
        >>> import torch
        >>> student, teacher = Feature(torch.eye(2).unsqueeze(0), (2,)), Feature(torch.eye(2).unsqueeze(0), (2,))
        >>> ICKD()(student, teacher)
        tensor(0.)
    """

    needs: ClassVar[Match] = Match.CHANNELS

    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B 1"], Bool[Tensor, "B 1"] | None]:
        """The formula, for each sample."""
        student, teacher = student.body(), teacher.body()
        difference = _correlation(student) - _correlation(teacher)
        some = [each.mask.any(1, keepdim=True) for each in (student, teacher) if each.mask is not None]
        return difference.square().sum(2).mean(1, keepdim=True), some[0] & some[-1] if some else None


def _correlation(feature: Feature) -> Float[Tensor, "B C C"]:
    x = zeroed(feature.x, feature.mask)
    return F.normalize(x.transpose(1, 2) @ x, dim=2)
