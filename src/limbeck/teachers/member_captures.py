"""Reads the sites of a committee, each member in a forward of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from limbeck.batch import map_tensors
from limbeck.capture.capture import Capture, Captured
from limbeck.errors import SiteError, nearest
from limbeck.links import FeatureSpec
from limbeck.teachers.committee import Committee, CommitteeAnswer, member_of, of_member, within_member

Value = TypeVar("Value")
WhyNot = Callable[[nn.Module], str | None]


class MemberCaptures:
    """What a :class:`~limbeck.capture.Capture` is of one model, of a committee.

    Where the answers are not needed, each member ends its forward behind the last of its own sites, one without sites
    does not run at all, and while gradients are recorded, as in a step of a training, a member runs when the first of
    its features is asked for: what a step leaves out is not computed.

    Args:
        committee: whose members to read.
        sites: specs or names of sites, each behind its member's name.
        why_not: says of a model why its forward cannot be stopped; without it the answers are needed.

    Raises:
        SiteError: if there is no such member or site.
    """

    def __init__(
        self, committee: Committee, sites: Sequence[FeatureSpec | str], *, why_not: WhyNot | None = None
    ) -> None:
        self.committee = committee
        self._answers = why_not is None
        self._captures: dict[str, Capture] = {}
        self._unstoppable = {} if why_not is None else {name: why_not(each) for name, each in committee.members.items()}
        inner = _by_member(committee, sites)
        self._sites = {of_member(name, _site(each)): name for name, found in inner.items() for each in found}
        self._described = {each.site for each in sites if isinstance(each, FeatureSpec)}
        try:
            for name, member in committee.members.items():
                if inner[name] or self._answers:
                    stop = why_not is not None and self._unstoppable[name] is None
                    self._captures[name] = Capture(member, inner[name], stop=stop)
        except SiteError:
            self.close()
            raise

    def __call__(self, inputs: Any, mask: Bool[Tensor, "B N"] | None = None) -> Captured:
        """Run the members on the inputs of a batch and read their sites."""
        runs = {
            # Each gets inputs of its own, which it may overwrite; so may the student before a member runs.
            name: _Run(capture, map_tensors(inputs, Tensor.clone), mask)
            for name, capture in self._captures.items()
        }
        features = _Asked(
            {site: name for site, name in self._sites.items() if site in self._described},
            lambda name, site: runs[name]().features[site],
        )
        raw = _Asked(self._sites, lambda name, site: runs[name]().raw[site])
        if not self._answers and torch.is_grad_enabled():
            return Captured(None, features, raw)
        outputs = tuple(run().output for run in runs.values())
        output = CommitteeAnswer(outputs, self.committee.answer_weights) if self._answers else None
        return Captured(output, dict(features), dict(raw))

    @property
    def why_not_stopped(self) -> str | None:
        """Why forwards of some members run to their end though they were to be stopped."""
        found = {name: self._unstoppable.get(name) or each.why_not_stopped for name, each in self._captures.items()}
        said = [f"'{name}': {why}" for name, why in found.items() if why is not None]
        return "; ".join(said) or None

    def close(self) -> None:
        """Take every hook off the members."""
        for each in self._captures.values():
            each.close()


class _Run:
    """One forward of a member, made when it is asked for."""

    def __init__(self, capture: Capture, inputs: Any, mask: Tensor | None) -> None:
        self._made: Captured | None = None
        self._waiting = (capture, inputs, mask)

    def __call__(self) -> Captured:
        if self._made is None:
            capture, inputs, mask = self._waiting
            with torch.no_grad():
                self._made = capture(inputs, mask)
        return self._made


class _Asked(Mapping[str, Value]):
    """Values by site, each read when it is asked for."""

    def __init__(self, sites: Mapping[str, str], read: Callable[[str, str], Value]) -> None:
        self._sites, self._read = sites, read

    def __getitem__(self, site: str) -> Value:
        return self._read(self._sites[site], within_member(site))

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)


def _by_member(committee: Committee, sites: Sequence[FeatureSpec | str]) -> dict[str, list[FeatureSpec | str]]:
    found: dict[str, list[FeatureSpec | str]] = {name: [] for name in committee.members}
    for each in sites:
        name, site = member_of(_site(each)), within_member(_site(each))
        if name not in found:
            raise SiteError(
                f"A site of a committee begins with a member's name. Found '{_site(each)}'. "
                f"{nearest(name, list(found))} `plan.teacher_sites` lists the sites of a plan."
            )
        found[name].append(site if isinstance(each, str) else replace(each, site=site))
    return found


def _site(each: FeatureSpec | str) -> str:
    return each if isinstance(each, str) else each.site
