"""Self-attention relations of MiniLMv2."""

from __future__ import annotations

import math
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import valid_pair
from limbeck._math.relations import relation_divergence, split_channels, visible
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.samplewise import SamplewiseLoss


class MiniLMRelations(SamplewiseLoss):
    r"""Relate the tokens of a sample to each other as the teacher does, whatever the widths and numbers of heads.

    From "MiniLMv2: Multi-Head Self-Attention Relation Distillation for Compressing Pretrained Transformers" (Wang et
    al., ACL Findings 2021), https://arxiv.org/abs/2012.15828:

    $$ \sum_{\text{parts}} \frac{1}{A_r |V|} \sum_{a=1}^{A_r} \sum_{n \in V}
       \mathrm{KL}\bigl(R^t_{an} \,\Vert\, R^s_{an}\bigr), \qquad
       R_a = \mathrm{softmax}\Bigl(\frac{X_a X_a^\top}{\sqrt{d_r}}\Bigr) $$

    where $X_a \in \mathbb{R}^{N \times d_r}$ is the $a$-th of $A_r$ equal groups of channels, and $V$ are the positions
    valid on both sides. A row looks at valid positions only. On queries, keys or values this is the paper's; a site
    that holds all three side by side (``parts=3``: the output of a fused projection) gives their sum. Of large models
    the paper takes an upper middle layer of the teacher (21 of 24) and the student's last. Such sites are no proposals
    of limbeck: name them, as in ``sites={"student": ["blocks.5.attn.qkv"], "teacher": ["blocks.11.attn.qkv"]}``.

    Differs from the paper: a site that holds hidden states instead of queries, keys or values is compared all the same.

    Shapes: student ``[B, N, parts * A_r * Ds]``, teacher ``[B, N, parts * A_r * Dt]``.

    Args:
        heads: $A_r$, the number of relation heads; must divide the channels of each part on both sides. Default 48:
            paper, for teachers of 768 channels (64 for 1024).
        parts: how many of queries, keys and values stand side by side in the channels; default 1: our choice.
        causal: whether a position sees only those up to itself, as in a decoder; default False: paper.

    Raises:
        ShapeMismatch: if positions differ, there is only one, or channels do not split into ``parts * heads`` groups.
        RecipeError: if ``heads`` or ``parts`` is below 1.

    Example:
        >>> import torch
        >>> student, teacher = Feature(torch.zeros(1, 2, 4), (2,)), Feature(torch.zeros(1, 2, 8), (2,))
        >>> MiniLMRelations(heads=2)(student, teacher)   # every token looks at both alike
        tensor(0.)
    """

    needs: ClassVar[Match] = Match.POSITIONS
    minimum_positions: ClassVar[int] = 2

    def __init__(self, *, heads: int = 48, parts: int = 1, causal: bool = False) -> None:
        super().__init__()
        if heads < 1 or parts < 1:
            raise RecipeError(
                f"MiniLMRelations needs at least 1 head and 1 part. Found heads={heads}, parts={parts}. The paper "
                "takes 48 heads for teachers of 768 channels."
            )
        self.heads = heads
        self.parts = parts
        self.causal = causal
        self.channel_groups = heads * parts

    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B N"], Bool[Tensor, "B N"] | None]:
        """The formula, for each token."""
        s, t, valid = valid_pair(student, teacher)
        seen = visible(valid, s.shape[1], causal=self.causal, device=s.device)
        return self.parts * relation_divergence(self._scores(s), self._scores(t), seen), valid

    def _scores(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B A N N"]:
        x = split_channels(x, self.channel_groups)
        return x @ x.transpose(-1, -2) / math.sqrt(x.shape[-1])

    def extra_repr(self) -> str:
        """Options."""
        return f"heads={self.heads}, parts={self.parts}, causal={self.causal}"
