"""Several terms of one loss, joined into one number by an association."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.associations.family import Association, Compared
from limbeck.context import NOTHING_KNOWN, Context
from limbeck.distiller.term import Term
from limbeck.errors import PlanMismatch
from limbeck.features import Features
from limbeck.losses.family import FeatureLoss


class TermGroup(nn.Module):
    """Compares several links by one loss, and lets an association say how much each of them counts.

    Args:
        terms: one for each link, in the order in which the association numbers them.
        association: weighs, draws or fuses the links.

    Raises:
        PlanMismatch: if the association weighs samples and the loss has no value for a sample.

    Example:
        >>> from limbeck.associations import MinimumLink
        >>> from limbeck.features import Feature
        >>> from limbeck.links import FeatureSpec, Link
        >>> from limbeck.losses import MSE
        >>> links = [Link(FeatureSpec("a", "BC", 2), FeatureSpec(site, "BC", 2)) for site in ("b", "c")]
        >>> group = TermGroup([Term(link, loss=MSE()) for link in links], MinimumLink.for_links(links))
        >>> near, far = (Feature(torch.full((3, 1, 2), value)) for value in (1.0, 5.0))
        >>> group({"a": near._replace(x=near.x * 0)}, {"b": near, "c": far})
        tensor(1.)
    """

    def __init__(self, terms: Sequence[Term], association: Association) -> None:
        super().__init__()
        self.terms = nn.ModuleList(terms)
        self.association = association
        self.loss: FeatureLoss = terms[0].loss
        if association.needs_samples and not self.loss.judges_samples():
            raise PlanMismatch(
                f"{type(association).__name__} weighs each sample, so the loss must have a value for each. Found "
                f"{self.loss}, which compares batches. Use MSE, Cosine, AttentionTransfer or association: EarthMover."
            )

    @property
    def members(self) -> tuple[Term, ...]:
        """The terms that are joined."""
        return tuple(term for term in self.terms if isinstance(term, Term))

    @property
    def name(self) -> str:
        """The association, and how many links it joins."""
        return f"{type(self.association).__name__} of {len(self.terms)} links"

    @property
    def member(self) -> str:
        """The teacher whose sites they are, where there is a committee of several."""
        return self.members[0].member

    @property
    def tap(self) -> str:
        """The deepest of the student's sites, where gradients of this group are measured."""
        return max((term.link.student for term in self.members), key=lambda spec: spec.depth).site

    @property
    def minimum_batch(self) -> int:
        """The smallest batch that it can be computed on."""
        return max([self.association.minimum_batch, *(term.minimum_batch for term in self.members)])

    def forward(self, student: Features, teacher: Features, context: Context = NOTHING_KNOWN, /) -> Float[Tensor, ""]:
        """The association's number for one batch; only links that count are computed.

        Raises:
            ShapeMismatch: if the batch is too small for the association.
        """
        self.association.check_batch(len(student[self.tap].x))
        links = self.association.active()
        fused = self.association.fuse([student[term.link.student.site] for term in self.members])
        terms = self.members
        costs = [
            terms[link].compare(fused[link], teacher[terms[link].link.teacher.site], context, self._by_sample)
            for link in links
        ]
        compared = Compared(
            torch.stack([cost.reshape(-1) for cost in costs], 1),
            links,
            [student[terms[link].link.student.site] for link in links],
            [teacher[terms[link].link.teacher.site].detach() for link in links],
        )
        return self.association(compared)

    @property
    def _by_sample(self) -> bool:
        return self.association.needs_samples
