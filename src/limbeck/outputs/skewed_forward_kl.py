"""Forward KL divergence to a mixture."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import kl, log_mixture
from limbeck.outputs.skewed import Skewed


class SkewedForwardKL(Skewed):
    r"""Give probability to what the teacher holds possible, with a gradient that stays bounded.

    From "DistiLLM: Towards Streamlined Distillation for Large Language Models" (Ko et al., ICML 2024),
    https://arxiv.org/abs/2402.03898, sec. 3.1:

    $$ \frac{1}{M} \sum_m \mathrm{KL}\bigl(p_m \,\Vert\, \alpha p_m + (1 - \alpha) q_m\bigr) $$

    of the teacher's $p$ and the student's $q$, over the answers that :class:`~limbeck.outputs.ForwardKL` counts.

    Differs from the paper: nothing; mixtures are computed from logarithms, where the official code takes the logarithm
    of a mixture that may be 0.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both.

    Args:
        alpha: $\alpha$, from 0 (:class:`~limbeck.outputs.ForwardKL`) to less than 1; default 0.1: official code.
        piece: numbers that are compared at once; default $2^{24}$: our choice.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes.
        RecipeError: if pieces are empty, or alpha is out of range.

    Example:
        >>> import torch
        >>> from limbeck.context import Context
        >>> logits = torch.tensor([[1.0, 2.0, 3.0]])
        >>> bool(SkewedForwardKL()(Context(student_output=logits + 7, teacher_output=logits)).abs() < 1e-6)
        True
    """

    def apart(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"], /) -> Float[Tensor, " M"]:
        """The divergence, row by row."""
        return kl(teacher, log_mixture(teacher, student, share=self.alpha))
