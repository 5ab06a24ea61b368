"""Checks of feature losses."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss
from limbeck.testing.arguments import arguments, pair_for, value_and_gradient
from limbeck.testing.components import (
    require_compiles,
    require_example,
    require_formula_and_source,
    require_same_copies,
    require_same_repr,
)
from limbeck.testing.disagreements import disagreements
from limbeck.testing.loss_precision import check_autocast, check_gradient_is_right, check_half_precision
from limbeck.testing.masked import dead_positions, filled, mask_of
from limbeck.testing.running import require, run
from limbeck.testing.samples import normal, with_gradient

LossCheck = Callable[[FeatureLoss], None]

_ROUNDING = 1e-6


def check_loss(loss: FeatureLoss, /) -> None:
    """Check a feature loss against everything that its family promises, by what it declares of itself.

    Args:
        loss: built with the options to check.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> from limbeck.losses import MSE
        >>> check_loss(MSE())
    """
    run(loss_checks(loss), loss)


def loss_checks(loss: FeatureLoss, /) -> list[LossCheck]:
    """The checks that apply to a loss, each of which can be called with it; for one test per check."""
    checks: list[LossCheck] = [check_needs, check_scalar]
    if loss.non_negative:
        checks.append(check_non_negative)
    if loss.zero_when_equal:
        checks.append(check_zero_when_equal)
    if loss.judges_samples():
        checks.append(check_samples)
    return [
        *checks,
        check_gradient_reaches_student_only,
        check_masked_positions,
        check_full_mask,
        check_batch_order,
        check_degenerate_inputs,
        check_half_precision,
        check_autocast,
        check_gradient_is_right,
        check_inputs_unchanged,
        check_copies,
        check_repr,
        check_batch_of_one,
        check_single_position,
        check_documented,
    ]


def check_scalar(loss: FeatureLoss, /) -> None:
    """One finite number, in the input's precision."""
    for dtype in (torch.float32, torch.float64):
        value = loss(*arguments(loss, *pair_for(loss, dtype=dtype)))
        require(value.ndim == 0 and torch.isfinite(value), f"must give one finite number. Found {value}")
        require(value.dtype == dtype, f"must keep the precision of {dtype}. Found {value.dtype}")


def check_non_negative(loss: FeatureLoss, /) -> None:
    """Never below zero."""
    for seed in range(5):
        student, teacher = pair_for(loss, seed=seed)
        opposite = student if loss.needs is Match.NOTHING else _like(student, teacher, -3.0)
        for each in (student, opposite):
            value = loss(*arguments(loss, each, teacher))
            require(value >= -_ROUNDING, f"declares non_negative, so it must be at least 0. Found {value.item()}")


def check_zero_when_equal(loss: FeatureLoss, /) -> None:
    """Zero on equal features."""
    feature, _ = pair_for(loss)
    value = loss(*arguments(loss, feature, feature._replace(x=feature.x.clone())))
    require(
        value.abs() < 10 * _ROUNDING, f"declares zero_when_equal, so equal features must give 0. Found {value.item()}"
    )


def check_samples(loss: FeatureLoss, /) -> None:
    """What each sample gives by itself averages to the whole."""
    student, teacher = pair_for(loss)
    value, each = loss(*arguments(loss, student, teacher)), loss.samples(student, teacher)
    require(each.shape == (len(student.x),), f"must give one value for each sample. Found shape {tuple(each.shape)}")
    require(
        torch.allclose(each.mean(), value, rtol=1e-4, atol=1e-6),
        f"must be the mean of what its samples give. Found {value.item()} instead of {each.mean().item()}",
    )


def check_gradient_reaches_student_only(loss: FeatureLoss, /) -> None:
    """The student learns; the teacher does not."""
    student, teacher = (with_gradient(each) for each in pair_for(loss))
    value = loss(*arguments(loss, student, teacher))
    require(value.requires_grad, "must give a gradient to the student. Found a value outside of the graph")
    mine, theirs = torch.autograd.grad(value, [student.x, teacher.x], allow_unused=True)
    require(mine is not None and mine.abs().sum() > 0, "must give a gradient to the student. Found none")
    require(theirs is None, "must give no gradient to the teacher. Found one: detach it")


def check_masked_positions(loss: FeatureLoss, /) -> None:
    """Positions that are not valid change neither value nor gradient."""
    student, teacher = pair_for(loss)
    mask_s, mask_t = (mask_of(each, seed) for seed, each in enumerate((student, teacher), 1))
    for mine, theirs in ((mask_s, None), (None, mask_t), (mask_s, mask_t)):
        masked = student._replace(mask=mine), teacher._replace(mask=theirs)
        dead = dead_positions(loss, *masked)
        value, gradient = value_and_gradient(loss, *masked)
        for size in (100.0, math.nan):  # attention that sees nothing but padding leaves NaN there
            other = tuple(filled(each, places, size) for each, places in zip(masked, dead, strict=True))
            changed, gradient_after = value_and_gradient(loss, *other)
            require(
                torch.allclose(value, changed, rtol=1e-5, atol=1e-7),
                f"must not look at positions that are not valid. Found {value.item()}, and {changed.item()} with "
                f"values of size {size} at masked positions",
            )
            require(
                torch.allclose(gradient, gradient_after, rtol=1e-4, atol=1e-7),
                f"must not let values of size {size} at masked positions change the gradient. Found a difference",
            )
        require(gradient[dead[0]].abs().sum() == 0, "must give no gradient to masked positions. Found one")


def check_full_mask(loss: FeatureLoss, /) -> None:
    """A mask that hides nothing is no mask; one that hides all of a sample leaves the value finite."""
    student, teacher = pair_for(loss)
    mine, theirs = (each._replace(mask=torch.ones_like(mask_of(each, 1))) for each in (student, teacher))
    plain, masked = loss(*arguments(loss, student, teacher)), loss(*arguments(loss, mine, theirs))
    require(
        torch.allclose(plain, masked, rtol=1e-5, atol=1e-7),
        f"must give the same with a mask that hides nothing. Found {plain.item()} and {masked.item()}",
    )
    hidden = mask_of(student, 1)
    hidden[0] = False
    value, gradient = value_and_gradient(loss, student._replace(mask=hidden), teacher)
    require(
        torch.isfinite(value) and torch.isfinite(gradient).all(),
        f"must stay finite when all positions of a sample are masked. Found {value.item()}",
    )


def check_batch_order(loss: FeatureLoss, /) -> None:
    """The same permutation of both batches changes nothing."""
    student, teacher = pair_for(loss)
    order = normal(len(student.x), seed=3).argsort()
    value = loss(*arguments(loss, student, teacher))
    mine, theirs = (each._replace(x=each.x[order]) for each in (student, teacher))
    permuted = loss(*arguments(loss, mine, theirs, order))
    require(
        torch.allclose(value, permuted, rtol=1e-4, atol=1e-6),
        f"must compare each sample with its own. Found {value.item()}, and {permuted.item()} when both batches are "
        "permuted alike",
    )


def check_needs(loss: FeatureLoss, /) -> None:
    """Accepts exactly what ``needs`` leaves free; else raises a ShapeMismatch that names both sides."""
    for part, (student, teacher), numbers in disagreements(loss):
        try:
            value = loss(*arguments(loss, student, teacher))
        except ShapeMismatch as error:
            require(part in loss.needs, f"declares that it does not need equal {part}. Found {error}")
            require(
                all(str(number) in str(error) for number in numbers),
                f"must name both sides, {numbers}, in its message. Found {error}",
            )
        except Exception as error:
            declared = "needs" if part in loss.needs else "does not need"
            require(False, f"declares that it {declared} equal {part}. Found {type(error).__name__}: {error}")
        else:
            require(part not in loss.needs, f"declares that it needs equal {part}. Found {value.item()} without")
    student, teacher = pair_for(loss)
    shorter = teacher._replace(x=teacher.x[:-1])
    require(_refuses(loss, student, shorter), "must raise ShapeMismatch for batches of different size. Found none")


def check_degenerate_inputs(loss: FeatureLoss, /) -> None:
    """Value and gradient are finite at constant, zero, equal and very large input."""
    student, teacher = pair_for(loss)
    inputs = {
        "a zero student": (_scaled(student, 0.0), teacher),
        "a zero teacher": (student, _scaled(teacher, 0.0)),
        "zeros on both sides": (_scaled(student, 0.0), _scaled(teacher, 0.0)),
        "a constant student": (student._replace(x=torch.full_like(student.x, 2.0)), teacher),
        "a constant teacher": (student, teacher._replace(x=torch.full_like(teacher.x, 2.0))),
        "equal samples": (student._replace(x=student.x[:1].expand_as(student.x)), teacher),
        "a student 10,000 times as large": (_scaled(student, 1e4), teacher),
        "both sides 10,000 times as large": (_scaled(student, 1e4), _scaled(teacher, 1e4)),
        "a student 10,000 times as small": (_scaled(student, 1e-4), teacher),
    }
    if loss.zero_when_equal or student.x.shape[-1] == teacher.x.shape[-1]:
        inputs["equal features"] = student, student._replace(x=student.x.clone())
    for name, pair in inputs.items():
        value, gradient = value_and_gradient(loss, *pair)
        require(torch.isfinite(value), f"must be finite for {name}. Found {value.item()}")
        require(torch.isfinite(gradient).all(), f"must have a finite gradient for {name}. Found NaN or infinity")


def check_inputs_unchanged(loss: FeatureLoss, /) -> None:
    """Neither feature is modified."""
    student, teacher = pair_for(loss)
    before = student.x.clone(), teacher.x.clone()
    loss(*arguments(loss, student, teacher))
    same = torch.equal(student.x, before[0]) and torch.equal(teacher.x, before[1])
    require(same, "must not modify its inputs. Found other values after the call")


def check_copies(loss: FeatureLoss, /) -> None:
    """Deep copies, pickles and the state dict keep what it computes."""
    require_same_copies(loss, _value(loss))


def check_repr(loss: FeatureLoss, /) -> None:
    """The ``repr`` rebuilds it."""
    require_same_repr(loss)


def check_batch_of_one(loss: FeatureLoss, /) -> None:
    """A batch below ``minimum_batch`` is refused with the reason; one at it works."""
    smallest = loss.minimum_batch
    value = loss(*arguments(loss, *pair_for(loss, batch=smallest)))
    require(torch.isfinite(value), f"must work on its minimum_batch of {smallest}. Found {value.item()}")
    if smallest > 1:
        refused = _refuses(loss, *pair_for(loss, batch=smallest - 1), naming=str(smallest))
        require(refused, f"declares minimum_batch {smallest}, so it must refuse {smallest - 1} samples. Found a value")


def check_single_position(loss: FeatureLoss, /) -> None:
    """Samples below ``minimum_positions`` are refused with the reason; one position works where it is enough."""
    student, teacher = (
        each._replace(x=each.x[:, :1], grid=None if each.grid is None else (1,)) for each in pair_for(loss)
    )
    if loss.minimum_positions > 1:
        refused = _refuses(loss, student, teacher, naming=str(loss.minimum_positions))
        require(refused, f"declares minimum_positions {loss.minimum_positions}, so it must refuse 1. Found a value")
    else:
        value = loss(*arguments(loss, student, teacher))
        require(torch.isfinite(value), f"must work on a single position. Found {value.item()}")


def check_documented(loss: FeatureLoss, /) -> None:
    """Source, formula and example stand in the docstring."""
    require_example(loss)
    require_formula_and_source(loss)


def check_loss_compiles(loss: FeatureLoss, /) -> None:
    """It compiles as one graph. Apart from the others: run-time shape checks and compiling exclude each other."""
    require_compiles(loss, _value(loss))


def _value(loss: FeatureLoss) -> Callable[[nn.Module], Tensor]:
    given = arguments(loss, *pair_for(loss))
    return lambda module: module(*given)


def _like(student: Feature, teacher: Feature, factor: float) -> Feature:
    """A student that points where the teacher does, or the other way, if they have one shape."""
    return student._replace(x=factor * teacher.x) if student.x.shape == teacher.x.shape else student


def _scaled(feature: Feature, factor: float) -> Feature:
    return feature._replace(x=feature.x * factor)


def _refuses(loss: FeatureLoss, student: Feature, teacher: Feature, *, naming: str = "") -> bool:
    try:
        loss(*arguments(loss, student, teacher))
    except ShapeMismatch as error:
        return naming in str(error)
    return False
