"""One feature term: a link, what the student's side and the teacher's side pass through, and the loss between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.context import NOTHING_KNOWN, Context
from limbeck.errors import DataError, PlanMismatch
from limbeck.features import Feature, Features
from limbeck.links import Link
from limbeck.losses.family import FeatureLoss, InformedLoss
from limbeck.projectors.family import Projector
from limbeck.targets.family import FittedTarget, Target
from limbeck.teachers.committee import member_of


class Term(nn.Module):
    """Compares a student's site with a teacher's.

    Args:
        link: which two sites.
        loss: the comparison.
        projector: what the student's feature passes through; ``None`` for nothing.
        targets: what the teacher's feature passes through, one after the other.
        both: what either side passes through right before the loss, one after the other, such as ``PoolVector`` or
            ``Centre``; nothing for the published form of the loss.

    Raises:
        PlanMismatch: if one of ``both`` is fitted to the teacher.

    Example:
        >>> from limbeck.links import FeatureSpec
        >>> from limbeck.losses import MSE
        >>> from limbeck.projectors import Linear
        >>> link = Link(FeatureSpec("fc1", "BC", 8), FeatureSpec("layer4", "BC", 16))
        >>> term = Term(link, loss=MSE(), projector=Linear.for_link(link))
        >>> student, teacher = Feature(torch.zeros(2, 1, 8)), Feature(torch.zeros(2, 1, 16))
        >>> bool(term({"fc1": student}, {"layer4": teacher}) < 1)
        True
    """

    def __init__(
        self,
        link: Link,
        *,
        loss: FeatureLoss,
        projector: Projector | None = None,
        targets: Sequence[Target] = (),
        both: Sequence[Target] = (),
    ) -> None:
        super().__init__()
        for each in both:
            if isinstance(each, FittedTarget):
                raise PlanMismatch(
                    f"What both sides pass through must suit both. Found {each}, which is fitted to the teacher. Write "
                    "it under targets, or use Centre, LayerNorm, Normalise, PoolGrid or PoolVector."
                )
        self.link = link
        self.loss = loss
        self.projector = projector
        self.targets = nn.ModuleList(targets)
        self.both = nn.ModuleList(both)

    @property
    def name(self) -> str:
        """The two sites, student first."""
        return f"{self.link.student.site} <- {self.link.teacher.site}"

    @property
    def member(self) -> str:
        """The teacher whose site it is, where there is a committee of several."""
        return member_of(self.link.teacher.site)

    @property
    def members(self) -> tuple[Term, ...]:
        """Itself: a term joins no others."""
        return (self,)

    @property
    def tap(self) -> str:
        """The student's site, where gradients of this term are measured."""
        return self.link.student.site

    def forward(self, student: Features, teacher: Features, context: Context = NOTHING_KNOWN, /) -> Float[Tensor, ""]:
        """The loss on one batch."""
        return self.compare(student[self.link.student.site], teacher[self.link.teacher.site], context)

    def compare(
        self, mine: Feature, theirs: Feature, context: Context = NOTHING_KNOWN, /, by_sample: bool = False
    ) -> Float[Tensor, "*B"]:
        """The loss between two raw features, or what each sample gives."""
        projected = self._prepared(mine if self.projector is None else self.projector(mine))
        with torch.no_grad():
            target = self._prepared(self._aim(theirs))
        if by_sample:
            return self.loss.samples(projected, target)
        return (
            self.loss(projected, target, context)
            if isinstance(self.loss, InformedLoss)
            else self.loss(projected, target)
        )

    @torch.no_grad()
    def target(self, feature: Feature) -> Feature:
        """What the student must predict from the teacher's feature."""
        return self._aim(feature)

    def _aim(self, feature: Feature) -> Feature:
        feature = feature.full_precision()
        for each in self.targets:
            feature = each(feature)
        return feature

    def _prepared(self, feature: Feature) -> Feature:
        """A feature of either side as it reaches the loss."""
        if not len(self.both):
            return feature
        feature = feature.full_precision()
        with torch.autocast(feature.x.device.type, enabled=False):
            for each in self.both:
                feature = each(feature)
        return feature

    @property
    def minimum_batch(self) -> int:
        """The smallest batch that it can be computed on."""
        return max([self.loss.minimum_batch, *(each.minimum_batch for each in self._preparing)])

    @property
    def _preparing(self) -> list[Target]:
        return [each for each in (*self.targets, *self.both) if isinstance(each, Target)]

    @property
    def fitted_targets(self) -> list[tuple[int, FittedTarget]]:
        """The targets that take statistics, each with its place among all of them."""
        return [(index, each) for index, each in enumerate(self.targets) if isinstance(each, FittedTarget)]

    def fit(self, features: Iterable[Feature]) -> None:
        """Take the statistics that the targets need from the teacher's features on a few batches.

        Args:
            features: gone through once for each target that takes statistics, and held one batch at a time.

        Raises:
            DataError: if a value is not finite.
        """
        for index, each in self.fitted_targets:
            each.fit(self.before(index, feature) for feature in features)

    @torch.no_grad()
    def before(self, index: int, feature: Feature) -> Feature:
        """A feature of the teacher as it reaches the target of that index.

        Raises:
            DataError: if a value is not finite.
        """
        feature = feature.full_precision()
        if not torch.isfinite(feature.x).all():
            bad = int((~torch.isfinite(feature.x)).sum())
            raise DataError(
                f"The teacher's features must be finite. Found {bad} values at '{self.link.teacher.site}' that are "
                "NaN or infinite. Check the teacher's weights and the inputs, or leave the site out of the plan."
            )
        for each in self.targets[:index]:
            feature = each(feature)
        return feature
