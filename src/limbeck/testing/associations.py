"""Checks of associations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from limbeck.associations.family import Association, Compared
from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link, Match
from limbeck.testing.components import (
    require_example,
    require_formula_and_source,
    require_same_copies,
    require_same_repr,
)
from limbeck.testing.running import require, run
from limbeck.testing.samples import feature_of, normal

_STUDENT = tuple(FeatureSpec(f"s{i}", "BCHW", 6 + i, 16, (4, 4), depth=(i + 1) / 2) for i in range(2))
_TEACHER = tuple(FeatureSpec(f"t{i}", "BCHW", 10 + i, 16, (4, 4), depth=(i + 1) / 3) for i in range(3))
ALL_PAIRS = tuple(Link(mine, theirs) for mine in _STUDENT for theirs in _TEACHER)
ONE_TO_ONE = tuple(map(Link, _STUDENT, _TEACHER))


class _Subject:
    """An association and the links that it joins, under the association's name."""

    def __init__(self, association: Association, links: Sequence[Link]) -> None:
        self.association = association
        self.links = links
        self.__name__ = type(association).__name__


def check_association(make: type[Association], /, *, links: Sequence[Link] | None = None) -> None:
    """Check an association against everything that its family promises.

    Args:
        make: the class; ``make.for_links(links)`` builds one.
        links: to join; all pairs of made-up sites if not given, one for each student site if it fuses them.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> from limbeck.associations import SemCKD
        >>> check_association(SemCKD)
    """
    if links is None:
        links = ONE_TO_ONE if make.aligns else ALL_PAIRS
        # What a sample of many positions has, such as a variance, it may lack where it has one.
        vectors = [Link(_vector(link.student), _vector(link.teacher)) for link in links]
        run([check_association_minimum_batch], _Subject(make.for_links(vectors), vectors))
    run(ASSOCIATION_CHECKS, _Subject(make.for_links(links), links))


def check_one_number(subject: _Subject, /) -> None:
    """One finite number for any batch from the smallest on, in the costs' precision."""
    for batch in (subject.association.minimum_batch, 2, 7):
        for dtype in (torch.float32, torch.float64):
            value = _value(subject, batch=batch, dtype=dtype)
            require(value.ndim == 0 and torch.isfinite(value), f"must give one finite number. Found {value}")
            require(value.dtype == dtype, f"must keep the precision of {dtype}. Found {value.dtype}")


def check_weights(subject: _Subject, /) -> None:
    """Every weight is at least 0, some are above, and none depends on values that a sample does not have."""
    weights = subject.association.weigh(_compared(subject))
    require((weights >= 0).all(), f"must weigh by at least 0. Found {weights.min().item()}")
    require((weights.sum(1) > 0).all(), "must weigh some link of every sample. Found none")


def check_links_that_count(subject: _Subject, /) -> None:
    """The links that count are links, none of them twice, in training and in evaluation."""
    for mode in (True, False):
        links = list(subject.association.train(mode).active())
        known = set(range(len(subject.links)))
        require(links and set(links) <= known and len(set(links)) == len(links), f"must name links once. Found {links}")
    subject.association.train()


def check_costs_get_gradient(subject: _Subject, /) -> None:
    """The costs that count get a gradient, so that the student learns."""
    compared = _compared(subject)
    costs = compared.costs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(subject.association(compared._replace(costs=costs)), costs)
    require(torch.isfinite(gradient).all() and (gradient != 0).any(), "must let the costs learn. Found no gradient")


def check_learns(subject: _Subject, /) -> None:
    """What it learns itself gets a finite gradient."""
    association = subject.association
    association.zero_grad()
    loss = _value(subject)
    fused = association.fuse(_students(subject))
    if loss.requires_grad or association.aligns:
        (loss + sum(each.x.square().mean() for each in fused)).backward()
    for name, parameter in association.named_parameters():
        if association.aligns and parameter.grad is None:
            continue  # The gate of the deepest site has nothing to join.
        learnt = parameter.grad is not None and bool(torch.isfinite(parameter.grad).all())
        require(learnt, f"must learn all of its parameters. Found no finite gradient at '{name}'")


def check_fused(subject: _Subject, /) -> None:
    """Fused features agree with the targets in what the association declares; else they are the student's own."""
    students = _students(subject)
    fused = subject.association.fuse(students)
    for mine, out, link in zip(students, fused, subject.links, strict=True):
        if not subject.association.aligns:
            require(out is mine, "declares that it fuses nothing. Found another feature")
            continue
        if Match.CHANNELS in subject.association.aligns:
            require(out.x.shape[-1] == link.teacher.channels, f"must give the target's channels. Found {out.x.shape}")
        if Match.GRID in subject.association.aligns:
            require(out.grid == link.teacher.grid, f"must give the target's grid. Found {out.grid}")


def check_association_minimum_batch(subject: _Subject, /) -> None:
    """A batch below ``minimum_batch`` is refused with the reason; one at it can be fused in training."""
    association = subject.association.train()
    smallest = association.minimum_batch
    association.check_batch(smallest)
    for each in association.fuse(_students(subject, batch=smallest)):
        require(torch.isfinite(each.x).all(), f"must fuse its minimum_batch of {smallest} samples. Found no number")
    if smallest == 1:
        return
    try:
        association.check_batch(smallest - 1)
    except ShapeMismatch as error:
        require(str(smallest) in str(error), f"must name its minimum_batch in its message. Found {error}")
    else:
        require(
            False, f"declares minimum_batch {smallest}, so it must refuse {smallest - 1} samples. Found none refused"
        )


def check_sample_order(subject: _Subject, /) -> None:
    """The same permutation of all samples changes nothing."""
    compared = _compared(subject, batch=6)
    order = normal(6, seed=3).argsort()
    moved = Compared(
        compared.costs[order] if len(compared.costs) > 1 else compared.costs,
        compared.links,
        [each._replace(x=each.x[order]) for each in compared.students],
        [each._replace(x=each.x[order]) for each in compared.teachers],
    )
    value, again = subject.association(compared), subject.association(moved)
    require(torch.allclose(value, again, rtol=1e-4), f"must not depend on the order. Found {value} and {again}")


def check_extreme_costs(subject: _Subject, /) -> None:
    """Costs of zero, all alike, or very large give a finite value and gradient."""
    compared = _compared(subject)
    for factor in (0.0, 1e-6, 1e6):
        costs = (compared.costs * factor).requires_grad_()
        value = subject.association(compared._replace(costs=costs))
        (gradient,) = torch.autograd.grad(value, costs)
        require(
            torch.isfinite(value) and torch.isfinite(gradient).all(),
            f"must be finite for costs x {factor}. Found {value}",
        )


def check_association_copies(subject: _Subject, /) -> None:
    """Deep copies, pickles and the state dict keep what it computes; the ``repr`` rebuilds it."""
    compared = _compared(subject)

    def value(module: nn.Module) -> Tensor:
        return module.eval()(compared)

    require_same_repr(subject.association)
    require_same_copies(subject.association, value)
    subject.association.train()


def check_association_documented(subject: _Subject, /) -> None:
    """Source, formula and example stand in the docstring."""
    require_example(subject.association)
    require_formula_and_source(subject.association)


ASSOCIATION_CHECKS: tuple[Callable[[_Subject], None], ...] = (
    check_one_number,
    check_weights,
    check_links_that_count,
    check_costs_get_gradient,
    check_learns,
    check_fused,
    check_association_minimum_batch,
    check_sample_order,
    check_extreme_costs,
    check_association_copies,
    check_association_documented,
)


def _vector(spec: FeatureSpec) -> FeatureSpec:
    return replace(spec, axes="BC", positions=1, grid=None)


def _students(subject: _Subject, *, batch: int = 4) -> list[Feature]:
    return [feature_of(link.student, batch=batch, seed=i) for i, link in enumerate(subject.links)]


def _compared(subject: _Subject, *, batch: int = 4, dtype: torch.dtype | None = None) -> Compared:
    """Costs and features of the links that count in evaluation, where no draw is made."""
    association = subject.association
    links = list(association.eval().active())
    association.train()
    rows = batch if association.needs_samples else 1
    costs = normal(rows, len(links), seed=5, dtype=dtype).abs() + 0.1
    students, teachers = (
        [feature_of(getattr(subject.links[link], side), batch=batch, seed=link) for link in links]
        for side in ("student", "teacher")
    )
    return Compared(costs, links, students, teachers)


def _value(subject: _Subject, *, batch: int = 4, dtype: torch.dtype | None = None) -> Tensor:
    return subject.association(_compared(subject, batch=batch, dtype=dtype))
