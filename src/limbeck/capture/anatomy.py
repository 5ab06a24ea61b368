"""What limbeck found out about a network before training."""

from __future__ import annotations

from dataclasses import dataclass, field

from limbeck.errors import SiteError, nearest
from limbeck.links import FeatureSpec


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The sites of a network in order of execution, its head and its cost.

    Attributes:
        specs: every block or stage end of the trunk; last, with role ``head``, the head's input, or the final output of
            an encoder that has no head.
        head: dotted name of the module that turns the head's input into the logits; ``None`` for an encoder.
        method: how the sites were found, as a phrase.
        notes: what a reader should know: fallbacks, ambiguities, things left out.
        output_shape: shape of the logits on the probed batch, whose size is 2; ``None`` if there are none.
        costs: share of the forward's multiply-adds that is done when a site fires, in (0, 1].
        parameters: number of parameters of the whole model.
        macs: multiply-adds of the whole model for one sample: matrix products, convolutions and attention.
        members: of a committee of teachers, the anatomy of each by its name, with sites as the committee calls them.

    Example:
        >>> spec = FeatureSpec("fc:input", "BC", channels=8, role="head")
        >>> Anatomy((spec,), "fc", "cut points of the dataflow").head_input.channels
        8
    """

    specs: tuple[FeatureSpec, ...]
    head: str | None
    method: str
    notes: tuple[str, ...] = ()
    output_shape: tuple[int, ...] | None = None
    costs: dict[str, float] = field(default_factory=dict)
    parameters: int = 0
    macs: int = 0
    members: dict[str, Anatomy] = field(default_factory=dict)

    def spec(self, site: str) -> FeatureSpec:
        """The spec of a site.

        Raises:
            SiteError: if no such site was found; names the nearest ones.
        """
        for each in self.specs:
            if each.site == site:
                return each
        raise SiteError(
            f"'{site}' is none of the sites found. {nearest(site, [each.site for each in self.specs])} "
            f"Name the sites with sites=, '{site}' among them, to probe it."
        )

    @property
    def trunk(self) -> tuple[FeatureSpec, ...]:
        """The sites without the head's input."""
        return tuple(each for each in self.specs if each.role != "head")

    @property
    def head_input(self) -> FeatureSpec | None:
        """What the head reads (the penultimate representation)."""
        return next((each for each in reversed(self.specs) if each.role == "head"), None)
