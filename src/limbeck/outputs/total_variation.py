"""Total variation distance."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limbeck.outputs.divergence import Divergence


class TotalVariation(Divergence):
    r"""Move as little probability as can be from where the teacher has it.

    From "f-Divergence Minimization for Sequence-Level Knowledge Distillation" (Wen et al., ACL 2023),
    https://arxiv.org/abs/2307.15190:

    $$ \frac{1}{M} \sum_m \frac12 \sum_k \lvert p_{mk} - q_{mk} \rvert $$

    of the teacher's $p$ and the student's $q$, over the answers that :class:`~limbeck.outputs.ForwardKL` counts.

    Differs from the paper: the texts are those of the data, and each token counts by itself; the paper has both models
    write texts, too.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both.

    Args:
        piece: numbers that are compared at once; default $2^{24}$: our choice.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes.
        RecipeError: if pieces are empty.

    Example:
        >>> import torch
        >>> from limbeck.context import Context
        >>> # The teacher says (3/4, 1/4), the student (1/2, 1/2): a quarter must move.
        >>> teacher = torch.tensor([[0.75, 0.25]]).log()
        >>> TotalVariation()(Context(student_output=torch.zeros(1, 2), teacher_output=teacher))
        tensor(0.2500)
    """

    def apart(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"], /) -> Float[Tensor, " M"]:
        """The distance, row by row."""
        return (teacher.exp() - student.exp()).abs().sum(-1) / 2
