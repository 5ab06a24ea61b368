"""Forward KL divergence."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import kl
from limbeck.outputs.divergence import Divergence


class ForwardKL(Divergence):
    r"""Give probability to everything that the teacher holds possible.

    The soft labels of "Distilling the Knowledge in a Neural Network" (Hinton et al. 2015),
    https://arxiv.org/abs/1503.02531, at temperature 1, as language models use them token by token:

    $$ \frac{1}{M} \sum_m \mathrm{KL}(p_m \,\Vert\, q_m) =
       \frac{1}{M} \sum_m \sum_k p_{mk} \log \frac{p_{mk}}{q_{mk}} $$

    of the teacher's $p$ and the student's $q$, over the $M$ answers whose label is not -100; over all answers of
    a batch without a label for each.

    Differs from the paper: nothing; the number is that of ``SoftLabels(temperature=1)``, but no copy of all logits is
    made, which is what large vocabularies need.

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
        >>> ForwardKL()(Context(student_output=torch.zeros(1, 2), teacher_output=teacher))
        tensor(0.1308)
    """

    def apart(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"], /) -> Float[Tensor, " M"]:
        """The divergence, row by row."""
        return kl(teacher, student)
