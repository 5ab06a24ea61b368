"""Similarities between the tokens of one sample."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import valid_pair
from limbeck._math.relations import relation_divergence, visible
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.samplewise import SamplewiseLoss


class TokenSimilarity(SamplewiseLoss):
    r"""Find the same places of an image alike.

    The local part of LightlyTrain's distillation v3, https://github.com/lightly-ai/lightly-train:

    $$ \frac{1}{|V|} \sum_{(b, n) \in V} \mathrm{KL}\bigl(p^t_{bn} \,\Vert\, p^s_{bn}\bigr), \qquad
       p_{bn} = \mathrm{softmax}_m \bigl( \cos(x_{bn}, x_{bm}) / \tau \bigr) $$

    over the positions $V$ that are valid on both sides; a row looks at valid positions only, prefix tokens do not take
    part. Channels are free. It fixes what the tokens of a sample have in common and leaves free what they are: alone,
    on digits, it brought a student hardly closer to its teacher's pooled feature. It belongs beside a loss that does.

    Differs from the code: no projector is part of it, as none is needed.

    Shapes: student ``[B, N, Cs]``, teacher ``[B, N, Ct]``, on one grid.

    Args:
        temperature: $\tau$; default 0.07: official code.
        eps: shortest length that a vector is divided by; default: our choice.

    Raises:
        ShapeMismatch: if the grids differ, or have a single position.
        RecipeError: if ``temperature`` is not positive.

    Example:
        >>> import torch
        >>> student, teacher = Feature(torch.eye(2).unsqueeze(0), (2,)), Feature(torch.ones(1, 2, 3), (2,))
        >>> TokenSimilarity(temperature=1.0)(student, teacher)   # 1/2 and 1/2 against e and 1, over their sum
        tensor(0.1201)
    """

    needs: ClassVar[Match] = Match.GRID
    minimum_positions: ClassVar[int] = 2

    def __init__(self, *, temperature: float = 0.07, eps: float = 1e-6) -> None:
        super().__init__()
        if temperature <= 0:
            raise RecipeError(
                f"TokenSimilarity needs a positive temperature. Found {temperature}. The official code takes 0.07."
            )
        self.temperature = temperature
        self.eps = eps

    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B N"], Bool[Tensor, "B N"] | None]:
        """The formula, for each token."""
        s, t, valid = valid_pair(student.body(), teacher.body())
        seen = visible(valid, s.shape[1], causal=False, device=s.device)
        return relation_divergence(self._scores(s), self._scores(t), seen), valid

    def _scores(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B 1 N N"]:
        unit = F.normalize(x, dim=-1, eps=self.eps)
        return (unit @ unit.transpose(1, 2) / self.temperature).unsqueeze(1)

    def extra_repr(self) -> str:
        """Options."""
        return f"temperature={self.temperature}, eps={self.eps}"
