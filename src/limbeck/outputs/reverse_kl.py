"""Reverse KL divergence."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import kl
from limbeck.outputs.divergence import Divergence


class ReverseKL(Divergence):
    r"""Say nothing that the teacher holds impossible; what a small model has no room for may be left out.

    From "MiniLLM: Knowledge Distillation of Large Language Models" (Gu et al., ICLR 2024),
    https://arxiv.org/abs/2306.08543:

    $$ \frac{1}{M} \sum_m \mathrm{KL}(q_m \,\Vert\, p_m) =
       \frac{1}{M} \sum_m \sum_k q_{mk} \log \frac{q_{mk}}{p_{mk}} $$

    of the student's $q$ and the teacher's $p$, over the answers that :class:`~limbeck.outputs.ForwardKL` counts.

    Differs from the paper: the texts are those of the data; the paper samples them from the student and follows the
    policy gradient.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both.

    Args:
        piece: numbers that are compared at once; default $2^{24}$: our choice.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes.
        RecipeError: if pieces are empty.

    Example:
        >>> import torch
        >>> from limbeck.context import Context
        >>> # The teacher says (3/4, 1/4), the student (1/2, 1/2).
        >>> teacher = torch.tensor([[0.75, 0.25]]).log()
        >>> ReverseKL()(Context(student_output=torch.zeros(1, 2), teacher_output=teacher))
        tensor(0.1438)
    """

    def apart(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"], /) -> Float[Tensor, " M"]:
        """The divergence, row by row."""
        return kl(student, teacher)
