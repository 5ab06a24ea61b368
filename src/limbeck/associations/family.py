"""The contract of every association: several links of one loss in, one number out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Link, Match


class Compared(NamedTuple):
    """What one step found on the links that count in it.

    Attributes:
        costs: what the loss says of each, for each sample or for the batch (``R = 1``).
        links: which they are.
        students: the student's feature of each, before its projector.
        teachers: the teacher's own feature of each.
    """

    costs: Float[Tensor, "R A"]
    links: Sequence[int]
    students: Sequence[Feature] = ()
    teachers: Sequence[Feature] = ()


class Association(nn.Module, ABC):
    """Says how much each link of a group counts: which student site learns from which teacher site, learnt or drawn.

    Where a mapper decides once, before training, an association decides in every step, if it likes for each sample.

    Args:
        pairs: the student's and the teacher's number of each link, each counted from 0 in order of execution.

    Attributes:
        needs_samples: whether it weighs each sample by itself, so that the loss must have a value for each.
        aligns: in what :meth:`fuse` makes the student's features agree with the targets.
        minimum_batch: the smallest batch that it can be computed on.
        leaves_links_out: whether a step may leave links out, so that their parameters get no gradient.

    Raises:
        RecipeError: if there is no link.
    """

    needs_samples: ClassVar[bool] = False
    aligns: ClassVar[Match] = Match.NOTHING
    minimum_batch: ClassVar[int] = 1
    leaves_links_out: ClassVar[bool] = False

    def __init__(self, pairs: Sequence[tuple[int, int]], /) -> None:
        super().__init__()
        if not pairs:
            raise RecipeError(f"{type(self).__name__} needs at least one link. Found none. Use mapping: AllPairs.")
        self.pairs = tuple((int(mine), int(theirs)) for mine, theirs in pairs)
        self.rows = [mine for mine, _ in self.pairs]
        self.columns = [theirs for _, theirs in self.pairs]

    @classmethod
    @abstractmethod
    def for_links(cls, links: Sequence[Link], /) -> Association:
        """Build one with the sizes of the links; where it fuses, the teacher's sides are as their targets leave them.

        Subclasses add their options as keyword-only arguments.
        """

    @property
    def students(self) -> int:
        """How many student sites the links join."""
        return max(self.rows) + 1

    @property
    def teachers(self) -> int:
        """How many teacher sites the links join."""
        return max(self.columns) + 1

    def check_batch(self, size: int, /) -> None:
        """Refuse a batch that is too small.

        Raises:
            ShapeMismatch: if it has fewer samples than ``minimum_batch``.
        """
        if size < self.minimum_batch:
            raise ShapeMismatch(
                f"{type(self).__name__} needs at least {self.minimum_batch} samples in a batch. Found {size}. Use a "
                "larger batch, drop_last=True, or an association that weighs sample by sample (SemCKD)."
            )

    def active(self) -> Sequence[int]:
        """Numbers of the links that count in this step; the others are not computed. May draw random numbers."""
        return range(len(self.pairs))

    def fuse(self, students: Sequence[Feature], /) -> Sequence[Feature]:
        """The student's feature of every link, before its projector, made of all of them."""
        return students

    @abstractmethod
    def weigh(self, compared: Compared, /) -> Float[Tensor, "R A"]:
        """The weight of every compared link; in the graph where it is learnt."""

    def forward(self, compared: Compared, /) -> Float[Tensor, ""]:
        """The weighted sum over links, averaged over samples."""
        return (self.weigh(compared) * compared.costs).sum(1).mean()

    def sites(self, compared: Compared) -> tuple[list[int], list[int]]:
        """The student's and the teacher's number of every compared link."""
        return [self.rows[link] for link in compared.links], [self.columns[link] for link in compared.links]

    def extra_repr(self) -> str:
        """The links."""
        return f"{self.pairs}"

    def __repr__(self) -> str:
        """The call that rebuilds this association, without what it has learnt."""
        return f"{type(self).__name__}({self.extra_repr()})"


def numbered(links: Sequence[Link]) -> tuple[tuple[int, int], ...]:
    """The student's and teacher's number of each link, sites counted in order of depth.

    Example:
        >>> from limbeck.links import FeatureSpec
        >>> a, b = (FeatureSpec(name, "BC", 8, depth=depth) for name, depth in (("a", 0.5), ("b", 1.0)))
        >>> numbered([Link(b, b), Link(a, b)])
        ((1, 0), (0, 0))
    """
    mine, theirs = (_order([getattr(link, side) for link in links]) for side in ("student", "teacher"))
    return tuple((mine[link.student.site], theirs[link.teacher.site]) for link in links)


def widths(links: Sequence[Link], side: str) -> tuple[int, ...]:
    """Channels of each site of a side, in the order of :func:`numbered`."""
    specs = {each.site: each for each in (getattr(link, side) for link in links)}
    return tuple(specs[site].channels for site in _order(list(specs.values())))


def _order(specs: Sequence) -> dict[str, int]:
    depths = {spec.site: spec.depth for spec in specs}
    return {site: number for number, site in enumerate(sorted(depths, key=lambda each: depths[each]))}
