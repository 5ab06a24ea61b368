"""Checks of projectors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link, Match
from limbeck.projectors.family import Projector
from limbeck.testing.components import (
    require_compiles,
    require_example,
    require_formula_and_source,
    require_padding_unread,
    require_same_copies,
    require_same_repr,
)
from limbeck.testing.running import require, run
from limbeck.testing.samples import feature_of, normal, with_gradient


class _Subject:
    """A projector and the link it was built for, under the projector's name."""

    def __init__(self, projector: Projector, link: Link) -> None:
        self.projector = projector
        self.link = link
        self.__name__ = type(projector).__name__

    def student(self, *, seed: int = 0, masked: bool = False, dtype: torch.dtype | None = None) -> Feature:
        return feature_of(self.link.student, seed=seed, masked=masked, dtype=dtype)


def check_projector(projector: Projector, link: Link, /) -> None:
    """Check a projector against everything that its family promises.

    Args:
        projector: built by ``for_link`` for the link.
        link: its teacher side described as the targets leave it.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> from limbeck.links import FeatureSpec
        >>> from limbeck.projectors import Linear
        >>> link = Link(FeatureSpec("fc1", "BC", 8), FeatureSpec("layer4", "BC", 16))
        >>> check_projector(Linear.for_link(link), link)
    """
    run(projector_checks(projector, link), _Subject(projector, link))


def projector_checks(projector: Projector, link: Link, /) -> list[Callable[[_Subject], None]]:
    """The checks that apply to a projector; :func:`check_projector` calls them."""
    checks: list[Callable[[_Subject], None]] = [check_alignment, check_projector_gradient, check_parameter_count]
    if projector.needs_grid:
        checks.append(check_needs_grid)
    if link.student.variable:
        checks.append(check_projector_mask)
    if projector.parameter_count:
        checks.append(check_gradient_reaches_parameters)
    return [
        *checks,
        check_identity_link,
        check_projector_inputs_finite,
        check_projector_half_precision,
        check_projector_inputs_unchanged,
        check_projector_copies,
        check_projector_repr,
        check_projector_documented,
    ]


def check_alignment(subject: _Subject, /) -> None:
    """The output agrees with the target in all that ``aligns`` names, and keeps the batch."""
    teacher, aligns = subject.link.teacher, subject.projector.aligns
    out = subject.projector(subject.student())
    require(len(out.x) == 4, f"must keep the 4 samples. Found {len(out.x)}")
    if Match.CHANNELS in aligns:
        require(out.x.shape[2] == teacher.channels, f"aligns channels, {teacher.channels}. Found {out.x.shape[2]}")
    if Match.POSITIONS in aligns:
        require(
            (out.x.shape[1], out.prefix) == (teacher.positions, teacher.prefix),
            f"aligns positions, {teacher.positions} with {teacher.prefix} of them prefix. Found {out.x.shape[1]} with "
            f"{out.prefix}",
        )
    if Match.GRID in aligns:
        require(out.grid == teacher.grid, f"aligns the grid, {teacher.grid}. Found {out.grid}")


def check_needs_grid(subject: _Subject, /) -> None:
    """One that declares ``needs_grid`` refuses a target without a grid when it is built."""
    vector = FeatureSpec("vector", "BC", subject.link.teacher.channels)
    try:
        type(subject.projector).for_link(Link(subject.link.student, vector))
    except ShapeMismatch:
        return
    require(False, "declares that it needs a grid, and must refuse a vector. Found it built for one")


def check_projector_gradient(subject: _Subject, /) -> None:
    """The gradient reaches the student's feature."""
    student = with_gradient(subject.student())
    out = subject.projector(student).x
    (gradient,) = torch.autograd.grad((out * normal(*out.shape, seed=3)).sum(), student.x)
    require(
        torch.isfinite(gradient).all() and gradient.abs().sum() > 0, "must give a gradient to its input. Found none"
    )


def check_gradient_reaches_parameters(subject: _Subject, /) -> None:
    """The gradient reaches every parameter."""
    out = subject.projector(subject.student()).x
    named = dict(subject.projector.named_parameters())
    gradients = torch.autograd.grad((out * normal(*out.shape, seed=3)).sum(), list(named.values()), allow_unused=True)
    for name, gradient in zip(named, gradients, strict=True):
        reached = gradient is not None and gradient.abs().sum() > 0
        require(reached, f"must train every parameter. Found '{name}' without a gradient")


def check_parameter_count(subject: _Subject, /) -> None:
    """``parameter_count`` is how many numbers it learns."""
    counted = sum(each.numel() for each in subject.projector.parameters())
    reported = subject.projector.parameter_count
    require(reported == counted, f"must report its {counted} parameters. Found {reported}")


def check_projector_mask(subject: _Subject, /) -> None:
    """The mask comes along, and what it hides changes no position that is valid after."""
    student = subject.student(masked=True)
    out = subject.projector(student)
    teacher = subject.link.teacher
    if teacher.positions > 1:
        require(out.mask is not None, "must keep the mask. Found none after it")
    if out.mask is not None:
        require(out.mask.shape == out.x.shape[:2], f"must resample the mask with the positions. Found {out.mask.shape}")
    require_padding_unread(subject.projector, student)


def check_identity_link(subject: _Subject, /) -> None:
    """Two sites that agree already can be joined too."""
    teacher = subject.link.teacher
    projector = type(subject.projector).for_link(Link(teacher, teacher))
    feature = feature_of(teacher)
    require(
        projector(feature).x.shape == feature.x.shape,
        f"must join two sites that are alike. Found another shape: {teacher}",
    )


def check_projector_inputs_finite(subject: _Subject, /) -> None:
    """Output is finite at zero and very large input."""
    for factor in (0.0, 1e4):
        student = subject.student()
        out = subject.projector(student._replace(x=factor * student.x))
        require(torch.isfinite(out.x).all(), f"must be finite for input times {factor}. Found NaN or infinity")


def check_projector_half_precision(subject: _Subject, /) -> None:
    """Features in bfloat16 and float16 are projected, by a projector in full and, in bfloat16, in half precision."""
    for dtype in (torch.bfloat16, torch.float16):
        out = subject.projector(subject.student(dtype=torch.float32)._replace(x=subject.student().x.to(dtype)))
        require(torch.isfinite(out.x).all(), f"must be finite for features in {dtype}. Found NaN or infinity")


def check_projector_inputs_unchanged(subject: _Subject, /) -> None:
    """The feature is not modified."""
    student = subject.student()
    before = student.x.clone()
    subject.projector(student)
    require(torch.equal(student.x, before), "must not modify its input. Found other values after the call")


def check_projector_copies(subject: _Subject, /) -> None:
    """Deep copies, pickles and the state dict keep what it computes."""
    require_same_copies(subject.projector, _value(subject))


def check_projector_repr(subject: _Subject, /) -> None:
    """The ``repr`` rebuilds it."""
    require_same_repr(subject.projector)


def check_projector_documented(subject: _Subject, /) -> None:
    """Source, formula and example stand in the docstring."""
    require_example(subject.projector)
    require_formula_and_source(subject.projector)


def check_projector_compiles(projector: Projector, link: Link, /) -> None:
    """It compiles as one graph. Apart from the others: run-time shape checks and compiling exclude each other."""
    subject = _Subject(projector, link)
    require_compiles(projector, _value(subject))


def _value(subject: _Subject) -> Callable[[nn.Module], Tensor]:
    student = subject.student(masked=subject.link.student.variable)
    return lambda module: module(student).x
