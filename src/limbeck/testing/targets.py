"""Checks of targets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Link
from limbeck.targets.family import FittedTarget, Target
from limbeck.testing.components import (
    rebuilt,
    require_compiles,
    require_example,
    require_formula_and_source,
    require_padding_unread,
    require_same_copies,
    require_same_repr,
)
from limbeck.testing.running import require, run
from limbeck.testing.samples import feature_of, with_gradient, with_other_padding


class _Subject:
    """A target, the link it was built for, and a fitted copy of it, under the target's name."""

    def __init__(self, target: Target, link: Link) -> None:
        self.fresh = target
        self.link = link
        self.fitted = copy.deepcopy(target)
        _fit(self.fitted, [self.teacher(seed=seed) for seed in range(3)])
        self.__name__ = type(target).__name__

    def teacher(self, *, seed: int = 0, batch: int = 4) -> Feature:
        return feature_of(self.link.teacher, seed=seed, batch=batch, masked=self.link.teacher.variable)


def check_target(target: Target, link: Link, /) -> None:
    """Check a target against everything that its family promises.

    Args:
        target: built by ``for_link`` for the link, not fitted.
        link: its teacher side described as the targets before leave it.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> from limbeck.links import FeatureSpec
        >>> from limbeck.targets import Standardise
        >>> link = Link(FeatureSpec("fc1", "BC", 8), FeatureSpec("layer4", "BC", 16))
        >>> check_target(Standardise.for_link(link), link)
    """
    run(target_checks(target, link), _Subject(target, link))


def target_checks(target: Target, link: Link, /) -> list[Callable[[_Subject], None]]:
    """The checks that apply to a target; :func:`check_target` calls them."""
    checks: list[Callable[[_Subject], None]] = [check_description, check_frozen]
    if isinstance(target, FittedTarget):
        checks += [check_unfitted, check_fit_is_repeatable]
    else:
        checks.append(check_target_gradient)
    if link.teacher.variable:
        checks.append(check_target_mask)
    if target.minimum_batch > 1:
        checks.append(check_target_minimum_batch)
    return [
        *checks,
        check_target_finite,
        check_target_half_precision,
        check_target_inputs_unchanged,
        check_target_copies,
        check_target_repr,
        check_target_documented,
    ]


def check_description(subject: _Subject, /) -> None:
    """``describe`` says what comes out."""
    said = subject.fitted.describe(subject.link.teacher)
    out = subject.fitted(subject.teacher())
    found = (out.x.shape[1], out.x.shape[2], out.grid, out.prefix, out.summary)
    expected = (said.positions, said.channels, said.grid, said.prefix, said.summary)
    names = "positions, channels, grid, prefix and summary"
    require(found == expected, f"describes its {names} as {expected}. Found {found}")
    require(out.mask is None or out.mask.shape == out.x.shape[:2], "must bring the mask along. Found another shape")


def check_frozen(subject: _Subject, /) -> None:
    """It has no parameters, and its buffers do not move."""
    require(not list(subject.fitted.parameters()), "must have no parameters. Found some: a target is not trained")
    before = copy.deepcopy(subject.fitted.state_dict())
    subject.fitted.train()
    first, second = subject.fitted(subject.teacher()).x, subject.fitted(subject.teacher()).x
    require(torch.equal(first, second), "must give the same for the same feature. Found a difference")
    after = subject.fitted.state_dict()
    require(all(torch.equal(before[key], after[key]) for key in before), "must not move its buffers. Found a change")


def check_unfitted(subject: _Subject, /) -> None:
    """Used before it is fitted, it says so."""
    try:
        subject.fresh(subject.teacher())
    except LimbeckError:
        return
    require(False, "must raise before it is fitted. Found a value")


def check_fit_is_repeatable(subject: _Subject, /) -> None:
    """Fitted twice on the same features, or on them in two halves, it is the same; masked positions do not count."""
    features = [subject.teacher(seed=seed) for seed in range(3)]
    again = copy.deepcopy(subject.fresh)
    _fit(again, iter([with_other_padding(each) for each in features]))
    split = copy.deepcopy(subject.fitted)
    _fit(split, [half for each in features for half in _halves(each)])
    reference = subject.fitted.state_dict()
    for other in (again, split):
        for key, value in other.state_dict().items():
            require(
                torch.allclose(value.double(), reference[key].double(), rtol=1e-4, atol=1e-6),
                f"must be fitted to all valid positions alike. Found another '{key}'",
            )


def check_target_mask(subject: _Subject, /) -> None:
    """What the mask hides changes no position that is valid after."""
    require_padding_unread(subject.fitted, subject.teacher())


def check_target_gradient(subject: _Subject, /) -> None:
    """What is not fitted can stand on the student's side too, so it lets a finite gradient through."""
    student = with_gradient(subject.teacher())
    (gradient,) = torch.autograd.grad(subject.fresh(student).x.square().sum(), student.x)
    require(torch.isfinite(gradient).all() and (gradient != 0).any(), "must let gradients through. Found none")


def check_target_minimum_batch(subject: _Subject, /) -> None:
    """A batch below ``minimum_batch`` is refused with the reason; one at it works."""
    smallest, target = subject.fitted.minimum_batch, subject.fitted
    out = target(subject.teacher(batch=smallest)).x
    require(torch.isfinite(out).all(), f"must work on its minimum_batch of {smallest}. Found no numbers")
    try:
        target(subject.teacher(batch=smallest - 1))
    except ShapeMismatch as error:
        require(str(smallest) in str(error), f"must name its minimum_batch in its message. Found {error}")
    else:
        require(False, f"declares minimum_batch {smallest}, so it must refuse {smallest - 1} samples. It did not")


def check_target_finite(subject: _Subject, /) -> None:
    """Output is finite at zero, constant and very large input."""
    teacher = subject.teacher()
    for name, x in {
        "zero": torch.zeros_like(teacher.x),
        "constant": torch.full_like(teacher.x, 3.0),
        "very large": 1e4 * teacher.x,
    }.items():
        require(
            torch.isfinite(subject.fitted(teacher._replace(x=x)).x).all(), f"must be finite for {name} input. Found not"
        )


def check_target_half_precision(subject: _Subject, /) -> None:
    """A teacher in bfloat16 gives about what it gives in float32."""
    teacher = subject.teacher()
    half = teacher.x.to(torch.bfloat16)
    out, full = (subject.fitted(teacher._replace(x=x)).x for x in (half, half.float()))
    require(
        torch.allclose(out.float(), full.float(), rtol=2e-2, atol=2e-2), "must work in bfloat16. Found other values"
    )


def check_target_inputs_unchanged(subject: _Subject, /) -> None:
    """The feature is not modified, and fitting keeps nothing of its graph."""
    teacher = with_gradient(subject.teacher())
    before = teacher.x.detach().clone()
    subject.fitted(teacher)
    _fit(copy.deepcopy(subject.fresh), [teacher, subject.teacher(seed=1)])
    require(torch.equal(teacher.x, before), "must not modify its input. Found other values after the call")
    require(
        not any(each.requires_grad for each in subject.fitted.buffers()), "must keep no graph in its buffers. Found one"
    )


def check_target_copies(subject: _Subject, /) -> None:
    """Deep copies, pickles and the state dict keep what it computes."""
    require_same_copies(subject.fitted, _value(subject))


def check_target_repr(subject: _Subject, /) -> None:
    """The ``repr`` rebuilds it, without its statistics."""
    require_same_repr(subject.fitted)
    require(isinstance(rebuilt(subject.fitted), nn.Module), "must be rebuilt as a module. Found something else")


def check_target_documented(subject: _Subject, /) -> None:
    """Source, formula and example stand in the docstring."""
    require_example(subject.fresh)
    require_formula_and_source(subject.fresh)


def check_target_compiles(target: Target, link: Link, /) -> None:
    """It compiles as one graph. Apart from the others: run-time shape checks and compiling exclude each other."""
    subject = _Subject(target, link)
    require_compiles(subject.fitted, _value(subject))


def _fit(target: Target, features: Iterable[Feature]) -> None:
    if isinstance(target, FittedTarget):
        target.fit(features)


def _value(subject: _Subject) -> Callable[[nn.Module], Tensor]:
    teacher = subject.teacher()
    return lambda module: module(teacher).x


def _halves(feature: Feature) -> list[Feature]:
    half = len(feature.x) // 2
    return [
        feature._replace(x=feature.x[part], mask=None if feature.mask is None else feature.mask[part])
        for part in (slice(half), slice(half, None))
    ]
