"""Attention scores of TinyBERT."""

from __future__ import annotations

import math
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import valid_pair
from limbeck._math.relations import split_channels, visible
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.samplewise import SamplewiseLoss


class AttentionScores(SamplewiseLoss):
    r"""Attend as the teacher does, head by head.

    From "TinyBERT: Distilling BERT for Natural Language Understanding" (Jiao et al., EMNLP Findings 2020),
    https://arxiv.org/abs/1909.10351, eq. 7, on the scores before the softmax:

    $$ \frac{1}{|V|} \sum_{n \in V} \frac1h \sum_{a=1}^h \frac{1}{|V_n|} \sum_{m \in V_n}
       (S^s_{anm} - S^t_{anm})^2, \qquad S_a = \frac{Q_a K_a^\top}{\sqrt{d}} $$

    over the positions $V$ that are valid on both sides, $V_n$ those of them in the same sample. The site holds queries
    and keys side by side, as the output of a fused projection does (``parts=3`` if the values follow them). The other
    losses of the paper, on hidden states and embeddings, are :class:`MSE` behind a :class:`~limbeck.projectors.Linear`.

    Differs from the paper: pairs with a padded token do not count; the official code counts them as equal.

    Shapes: student ``[B, N, parts * heads * Ds]``, teacher ``[B, N, parts * heads * Dt]``.

    Args:
        heads: of both models; default 12: paper.
        parts: 2 for queries and keys, 3 with values behind them; default 3: our choice, the usual fused projection.
        causal: whether a position sees only those up to itself, as in a decoder; default False: paper.

    Raises:
        ShapeMismatch: if positions differ, or channels do not split into ``parts * heads`` groups.
        RecipeError: if ``heads`` is below 1, or ``parts`` neither 2 nor 3.

    Example:
        >>> import torch
        >>> student, teacher = Feature(torch.ones(1, 2, 2)), Feature(torch.zeros(1, 2, 8))
        >>> AttentionScores(heads=1, parts=2)(student, teacher)   # queries and keys of 1 give scores of 1
        tensor(1.)
    """

    needs: ClassVar[Match] = Match.POSITIONS
    requires: ClassVar[frozenset[str]] = frozenset({"attention"})

    def __init__(self, *, heads: int = 12, parts: int = 3, causal: bool = False) -> None:
        super().__init__()
        if heads < 1 or parts not in {2, 3}:
            raise RecipeError(
                f"AttentionScores needs at least 1 head, and 2 parts (queries, keys) or 3 (and values). Found "
                f"heads={heads}, parts={parts}. Give the number of heads of both models."
            )
        self.heads = heads
        self.parts = parts
        self.causal = causal
        self.channel_groups = heads * parts

    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B N"], Bool[Tensor, "B N"] | None]:
        """The formula, for each token."""
        s, t, valid = valid_pair(student, teacher)
        seen = visible(valid, s.shape[1], causal=self.causal, device=s.device)
        error = (self._scores(s) - self._scores(t)).square().mean(1).masked_fill(~seen, 0.0)
        return error.sum(-1) / seen.sum(-1).clamp_min(1), valid

    def _scores(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B A N N"]:
        groups = split_channels(x, self.channel_groups)
        queries, keys = groups[:, : self.heads], groups[:, self.heads : 2 * self.heads]
        return queries @ keys.transpose(-1, -2) / math.sqrt(groups.shape[-1])

    def extra_repr(self) -> str:
        """Options."""
        return f"heads={self.heads}, parts={self.parts}, causal={self.causal}"
