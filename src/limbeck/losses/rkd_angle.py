"""Relational knowledge distillation by angles."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from limbeck._math.gram import flattened
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class RKDAngle(FeatureLoss):
    r"""Match the angles of all triangles that the samples of a batch form.

    From "Relational Knowledge Distillation" (Park et al., CVPR 2019), https://arxiv.org/abs/1904.05068, eqs. 7 to 9:

    $$ \frac{1}{B^3} \sum_{ijk} h_1(\psi^s_{ijk} - \psi^t_{ijk}), \qquad
       \psi_{ijk} = \langle e_{ij}, e_{kj} \rangle, \qquad e_{ij} = \frac{a_i - a_j}{\lVert a_i - a_j \rVert_2} $$

    with $a_i$ all values of sample $i$ as one vector and $h_1$ the Huber function. Nothing needs to agree but the
    samples. Positions that are not valid are zero, each side by its own mask. For weights see :class:`RKDDistance`.

    Differs from the paper: triples with two equal indices count, as in the official code; two equal samples have no
    direction, and give no gradient instead of one beyond all bounds.

    The differences are ``[B, B, N C]`` values: where these are many, they are computed for a few corners $j$ at a time,
    and again in the backward pass.

    Shapes: student ``[B, Ns, Cs]``, teacher ``[B, Nt, Ct]``.

    Args:
        chunk: how many values may be held at a time; default 2 to the 24th, 64 MB in float32: our choice.

    Raises:
        ShapeMismatch: if the batch holds fewer than 3 samples, which form no triangle.

    Example:
        >>> student = Feature(torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]]))
        >>> turned = Feature(torch.tensor([[[5.0, 5.0]], [[5.0, 9.0]], [[1.0, 5.0]]]))
        >>> bool(RKDAngle()(student, turned) < 1e-6)   # turned and larger, with the same angles
        True
    """

    needs: ClassVar[Match] = Match.NOTHING
    minimum_batch: ClassVar[int] = 3

    def __init__(self, *, chunk: int = 2**24) -> None:
        super().__init__()
        self.chunk = chunk

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        s, t = flattened(student), flattened(teacher)
        size = len(s)
        corners = max(1, self.chunk // (size * max(s.shape[1], t.shape[1])))
        if corners >= size:
            return _differences(s, t, s, t) / size**3
        total = s.new_zeros(())
        for mine, theirs in zip(s.split(corners), t.split(corners), strict=True):
            total = total + checkpoint(_differences, s, t, mine, theirs, use_reentrant=False)
        return total / size**3

    def extra_repr(self) -> str:
        """Options."""
        return f"chunk={self.chunk}"


def _differences(
    student: Float[Tensor, "B S"],
    teacher: Float[Tensor, "B T"],
    mine: Float[Tensor, "J S"],
    theirs: Float[Tensor, "J T"],
) -> Float[Tensor, ""]:
    """The sum over all angles at some corners."""
    return F.smooth_l1_loss(_angles(student, mine), _angles(teacher, theirs), reduction="sum")


def _angles(x: Float[Tensor, "B D"], corners: Float[Tensor, "J D"]) -> Float[Tensor, "J B B"]:
    difference = x.unsqueeze(0) - corners.unsqueeze(1)
    length = torch.linalg.vector_norm(difference, dim=-1, keepdim=True)
    unit = difference * (length > _EQUAL) / length.clamp_min(_EQUAL)
    return unit @ unit.transpose(1, 2)


_EQUAL = 1e-12
