"""One linear map, its channels standardised over the batch."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from limbeck._math.moments import standardised
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector
from limbeck.projectors.resample import Resample


class LinearBatchNorm(Projector):
    r"""Map the student's channels by one matrix, then give every channel mean 0 and variance 1 over the batch.

    From "Understanding the Role of the Projector in Knowledge Distillation" (Miles & Mikolajczyk, AAAI 2024),
    https://arxiv.org/abs/2303.11098:

    $$ p_{bnc} = \frac{z_{bnc} - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}}, \qquad z_{bn} = W \tilde x_{bn} $$

    with $\tilde x$ the student's positions brought to the target's (:class:`~limbeck.projectors.Resample`), and mean
    and variance over samples and valid positions of the batch, in training and in evaluation alike: a projector is used
    in training only. No bias, scale or shift: the mean takes them out. The paper does the same to the teacher, for
    which there is the target :class:`~limbeck.targets.Standardise`. What it gives for a sample depends on the batch,
    which should have 64 samples or more; a batch of one vector gives zeros.

    Differs from the paper: $W$ starts orthogonal; $\epsilon$ is not 0 as in the official code, where a dead channel
    gives NaN.

    Shapes: student ``[B, Ns, Cs]`` to ``[B, Nt, Ct]``.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``, as the targets leave it.
        grid: the target's grid; ``()`` for a vector, ``None`` to leave the positions.
        prefix: how many prefix tokens the target has.
        eps: $\epsilon$; default: torch's batch normalisation.

    Raises:
        ShapeMismatch: if the positions do not correspond; see :class:`~limbeck.projectors.Resample`.
        RecipeError: if ``eps`` is not above 0.

    Example:
        >>> import torch
        >>> projector = LinearBatchNorm(2, 3)
        >>> x = projector(Feature(7 + torch.randn(64, 1, 2))).x
        >>> bool(x.mean(0).abs().max() < 1e-4), bool((x.var(0, unbiased=False) - 1).abs().max() < 1e-2)
        (True, True)
    """

    aligns: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS | Match.GRID

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        /,
        *,
        grid: tuple[int, ...] | None = None,
        prefix: int = 0,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if not 0 < eps < float("inf"):
            raise RecipeError(f"LinearBatchNorm needs eps above 0. Found eps={eps}.")
        self.eps = eps
        self.positions = Resample(grid=grid, prefix=prefix)
        self.map = nn.Linear(student_channels, teacher_channels, bias=False)
        nn.init.orthogonal_(self.map.weight)

    @classmethod
    def for_link(cls, link: Link, /, *, eps: float = 1e-5) -> LinearBatchNorm:
        """Build one with the sizes of a link."""
        positions = Resample.for_link(link)
        channels = link.student.channels, link.teacher.channels
        return cls(*channels, grid=positions.grid, prefix=positions.prefix, eps=eps)

    def forward(self, student: Feature, /) -> Feature:
        """Project and standardise; statistics are taken in full precision."""
        feature = self.positions(student)
        # A student in half precision meets a projector in full; autocast, where it is on, decides for itself.
        mapped = feature.holding(self.map(feature.x.to(self.map.weight.dtype))).full_precision()
        return mapped.holding(standardised(mapped.x, mapped.mask, eps=self.eps))

    def extra_repr(self) -> str:
        """Sizes and options."""
        linear = self.map
        return f"{linear.in_features}, {linear.out_features}, {self.positions.extra_repr()}, eps={self.eps}"
