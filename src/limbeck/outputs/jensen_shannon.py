"""Generalised Jensen-Shannon divergence."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import kl, log_mixture
from limbeck._math.pieces import PIECE
from limbeck.errors import RecipeError
from limbeck.outputs.divergence import Divergence


class JensenShannon(Divergence):
    r"""Answer as the teacher does; bounded, and between forward and reverse KL.

    From "On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes" (Agarwal et al., ICLR 2024),
    https://arxiv.org/abs/2306.13649:

    $$ \frac{1}{M} \sum_m \beta \, \mathrm{KL}(p_m \,\Vert\, \mu_m) + (1 - \beta) \, \mathrm{KL}(q_m \,\Vert\, \mu_m),
       \qquad \mu = \beta p + (1 - \beta) q $$

    of the teacher's $p$ and the student's $q$, over the answers that :class:`~limbeck.outputs.ForwardKL` counts. Near
    $\beta = 0$ it is $\beta$ times the forward KL, near 1 it is $1 - \beta$ times the reverse one.

    Differs from the paper: the texts are those of the data; the paper has the student write some of them.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both.

    Args:
        beta: $\beta$, between 0 and 1; default 0.5: the symmetric divergence (the paper takes 0.1, 0.5 and 0.9).
        piece: numbers that are compared at once; default $2^{24}$: our choice.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes.
        RecipeError: if pieces are empty, or beta is out of range.

    Example:
        >>> import torch
        >>> from limbeck.context import Context
        >>> # Nothing in common: the divergence is at its maximum, ln 2.
        >>> student, teacher = torch.tensor([[99.0, 0.0]]), torch.tensor([[0.0, 99.0]])
        >>> JensenShannon()(Context(student_output=student, teacher_output=teacher))
        tensor(0.6931)
    """

    def __init__(self, *, beta: float = 0.5, piece: int = PIECE) -> None:
        super().__init__(piece=piece)
        if not 0 < beta < 1:
            raise RecipeError(
                f"JensenShannon needs a beta between 0 and 1. Found {beta}. At the ends it is 0: use ForwardKL or "
                "ReverseKL."
            )
        self.beta = beta

    def apart(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"], /) -> Float[Tensor, " M"]:
        """The divergence, row by row."""
        middle = log_mixture(teacher, student, share=self.beta)
        return self.beta * kl(teacher, middle) + (1 - self.beta) * kl(student, middle)

    def extra_repr(self) -> str:
        """Options."""
        return f"beta={self.beta}, {super().extra_repr()}"
