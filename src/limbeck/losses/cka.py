"""Centred kernel alignment as a loss."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.gram import centred, flattened, u_centred, unbiased_hsic
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class CKA(FeatureLoss):
    r"""Arrange the samples of a batch as the teacher does, up to rotation and scale.

    From "Similarity of Neural Network Representations Revisited" (Kornblith et al., ICML 2019),
    https://arxiv.org/abs/1905.00414, with the unbiased HSIC$_1$ of "Do Wide and Deep Networks Learn the Same Things?"
    (Nguyen et al., ICLR 2021), https://arxiv.org/abs/2010.15327, eq. 3:

    $$ 1 - \frac{\mathrm{HSIC}_1(K, L)}{\sqrt{\mathrm{HSIC}_1(K, K) \, \mathrm{HSIC}_1(L, L)}}, \qquad
       K = A_s A_s^\top, \; L = A_t A_t^\top $$

    with $A$ the ``[B, N C]`` matrix of all values of each sample, zero at positions that are not valid, each side by
    its own mask. Nothing needs to agree but the samples. From 0 (alike) over 1 (unrelated) to 2.

    Differs from the papers: a loss on one batch. The biased estimate would be useless for that: for 64 independent
    samples of 512 channels it is already about 0.9.

    Shapes: student ``[B, Ns, Cs]``, teacher ``[B, Nt, Ct]``.

    Raises:
        ShapeMismatch: if the batch holds fewer than 4 samples, below which HSIC$_1$ is not defined.

    Example:
        >>> import torch
        >>> teacher = Feature(torch.randn(8, 3, 5))
        >>> student = Feature(7 * teacher.x.flip(-1))   # another scale, and channels in another order
        >>> bool(CKA()(student, teacher) < 1e-5)
        True
    """

    needs: ClassVar[Match] = Match.NOTHING
    minimum_batch: ClassVar[int] = 4

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        s, t = _structure(student), _structure(teacher)
        # A batch of equal samples has no structure: its HSIC is 0, and the floor keeps 0/0 out.
        own = unbiased_hsic(s, s).clamp_min(_FLOOR).sqrt() * unbiased_hsic(t, t).clamp_min(_FLOOR).sqrt()
        return 1 - unbiased_hsic(s, t) / own


_FLOOR = 1e-12


def _structure(feature: Feature) -> Float[Tensor, "B B"]:
    # HSIC does not change when the mean is taken off, and CKA not with the scale either. Both keep float32 from
    # overflowing; as CKA does not depend on the scale, neither does its gradient, and the scale can be a constant.
    x = centred(flattened(feature))
    x = x / x.detach().square().mean().sqrt().clamp_min(_FLOOR)
    return u_centred(x @ x.T / x.shape[1])
