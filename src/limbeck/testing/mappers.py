"""Checks of mappers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from limbeck.errors import RecipeError
from limbeck.links import LayerMap, Scores
from limbeck.mapping.family import Mapper
from limbeck.testing.components import require_example, require_same_repr
from limbeck.testing.networks import PAIRS, Network
from limbeck.testing.running import require, run
from limbeck.testing.samples import normal


class _Subject:
    """A mapper and the pairs of networks to map, under the mapper's name."""

    def __init__(self, mapper: Mapper, networks: Sequence[tuple[Network, Network]]) -> None:
        self.mapper = mapper
        self.networks = networks
        self.__name__ = type(mapper).__name__

    def maps(self) -> list[tuple[Network, Network, LayerMap]]:
        return [(mine, theirs, self.mapper(mine, theirs, _scores(mine, theirs))) for mine, theirs in self.networks]


def check_mapper(mapper: Mapper, /, *, networks: Sequence[tuple[Network, Network]] = PAIRS) -> None:
    """Check a mapper against everything that its family promises.

    Args:
        mapper: built with the options to check.
        networks: student and teacher sites to map; made-up ones of every kind if not given.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> from limbeck.mapping import SameDepth
        >>> check_mapper(SameDepth(links=3))
    """
    run(mapper_checks(mapper), _Subject(mapper, networks))


def mapper_checks(mapper: Mapper, /) -> list[Callable[[_Subject], None]]:
    """The checks that apply to a mapper; :func:`check_mapper` calls them."""
    checks: list[Callable[[_Subject], None]] = [check_links_exist, check_deterministic, check_student_order]
    if mapper.order_preserving:
        checks += [check_order_preserving, check_teacher_sites_spread]
    if mapper.needs_scores:
        checks.append(check_scores_required)
    return [*checks, check_mapper_documented]


def check_links_exist(subject: _Subject, /) -> None:
    """There is a link, and both of its sites are among those given."""
    for mine, theirs, links in subject.maps():
        require(links, f"must link something of {len(mine)} student and {len(theirs)} teacher sites. Found no link")
        for link in links:
            require(link.student in mine, f"must link sites of the student. Found '{link.student.site}'")
            require(link.teacher in theirs, f"must link sites of the teacher. Found '{link.teacher.site}'")


def check_deterministic(subject: _Subject, /) -> None:
    """The same sites and scores give the same map."""
    require(subject.maps() == subject.maps(), "must give the same map twice. Found a difference")


def check_student_order(subject: _Subject, /) -> None:
    """Links stand in order of the student's sites, none twice."""
    for mine, _, links in subject.maps():
        places = [mine.index(link.student) for link in links]
        require(places == sorted(places), f"must list links in order of the student's sites. Found places {places}")
        require(len(set(links)) == len(links), f"must list a link once. Found {links}")


def check_order_preserving(subject: _Subject, /) -> None:
    """A later student site never learns from an earlier teacher site."""
    for _, theirs, links in subject.maps():
        places = [theirs.index(link.teacher) for link in links]
        require(places == sorted(places), f"declares order_preserving. Found teacher places {places}")


def check_teacher_sites_spread(subject: _Subject, /) -> None:
    """No teacher site is used twice while others go unused."""
    for _, theirs, links in subject.maps():
        used = {link.teacher for link in links}
        trunk = {each for each in theirs if each.role != "head"} or set(theirs)
        twice = len(used) < len(links)
        names = [link.teacher.site for link in links]
        require(
            not twice or trunk <= used,
            f"must not use a teacher site twice while others go unused. Found {names} of {len(theirs)}",
        )


def check_scores_required(subject: _Subject, /) -> None:
    """Without the scores that it needs, or with others, it says so."""
    mine, theirs = subject.networks[0]
    wrong: tuple[Scores | None, ...] = (None, torch.zeros(len(mine), len(theirs) + 1))
    for scores in wrong:
        try:
            links = subject.mapper(mine, theirs, scores)
        except RecipeError:
            continue
        require(False, f"declares needs_scores, so it must refuse {scores}. Found {links}")


def check_mapper_documented(subject: _Subject, /) -> None:
    """An example stands in the docstring; the ``repr`` rebuilds it."""
    require_same_repr(subject.mapper)
    require_example(subject.mapper)


def _scores(mine: Network, theirs: Network) -> Scores:
    return normal(len(mine), len(theirs), seed=len(mine))
