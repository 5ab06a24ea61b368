"""Checks of output losses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from limbeck.context import Context
from limbeck.errors import DataError, ModelError, ShapeMismatch
from limbeck.outputs.family import OutputLoss
from limbeck.testing.components import (
    require_compiles,
    require_example,
    require_formula_and_source,
    require_same_copies,
    require_same_repr,
)
from limbeck.testing.running import require, run
from limbeck.testing.samples import gradient_of, normal

OutputCheck = Callable[[OutputLoss], None]

_ROUNDING = 1e-6
_CLASSES = 7


def check_output(loss: OutputLoss, /) -> None:
    """Check an output loss against everything that its family promises, by what it declares of itself.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> from limbeck.outputs import SoftLabels
        >>> check_output(SoftLabels(temperature=2.0))
    """
    run(output_checks(loss), loss)


def output_checks(loss: OutputLoss, /) -> list[OutputCheck]:
    """The checks that apply to an output loss, each of which can be called with it; for one test per check."""
    checks: list[OutputCheck] = [check_output_scalar, check_output_gradient, check_missing_parts]
    if loss.non_negative:
        checks.append(check_output_non_negative)
    if loss.zero_when_equal:
        checks.append(check_output_zero_when_equal)
    if "student_loss" not in loss.requires:
        checks += [
            check_output_minimum_batch,
            check_output_batch_order,
            check_output_degenerate_inputs,
            check_output_half_precision,
            check_output_autocast,
            check_output_gradient_is_right,
            check_student_logits_missing,
        ]
    if "student_loss" not in loss.requires and not loss.numeric_labels:
        checks.append(check_ignored_tokens)
    if "teacher_output" in loss.requires:
        checks.append(check_teacher_logits)
    return [*checks, check_output_inputs_unchanged, check_output_copies, check_output_repr, check_output_documented]


def check_output_scalar(loss: OutputLoss, /) -> None:
    """One finite number, in the logits' precision, for logits of samples and of tokens."""
    for shape in ((6, _CLASSES), (3, 4, _CLASSES)):
        for dtype in (torch.float32, torch.float64):
            value = loss(_context(loss, *shape, dtype=dtype))
            require(
                value.ndim == 0 and torch.isfinite(value), f"must give one finite number for {shape}. Found {value}"
            )
            require(value.dtype == dtype, f"must keep the precision of {dtype}. Found {value.dtype}")


def check_output_gradient(loss: OutputLoss, /) -> None:
    """The student learns; the teacher does not."""
    student = normal(6, _CLASSES, seed=1).requires_grad_()
    teacher = normal(6, _CLASSES, seed=2).requires_grad_()
    value = loss(_context(loss, 6, _CLASSES, student=student, teacher=teacher))
    require(value.requires_grad, "must give a gradient to the student. Found a value outside of the graph")
    mine, theirs = torch.autograd.grad(value, [student, teacher], allow_unused=True)
    require(mine is not None and mine.abs().sum() > 0, "must give a gradient to the student. Found none")
    require(theirs is None, "must give no gradient to the teacher. Found one: detach it")


def check_missing_parts(loss: OutputLoss, /) -> None:
    """A batch without something that ``requires`` names is refused."""
    for part in loss.requires:
        try:
            value = loss(_context(loss, 6, _CLASSES)._replace(**{part: None}))
        except DataError:
            continue
        require(False, f"declares that it requires {part}, so it must raise DataError without. Found {value}")
    only = _context(loss, 6, _CLASSES)
    unread = {part: None for part in ("targets", "teacher_output", "student_loss") if part not in loss.requires}
    first, second = loss(only), loss(only._replace(**unread))
    require(torch.allclose(first, second, rtol=1e-5), f"must not read what it does not require: {set(unread)}")


def check_student_logits_missing(loss: OutputLoss, /) -> None:
    """A student without logits is refused with a ModelError."""
    try:
        value = loss(_context(loss, 6, _CLASSES)._replace(student_output=None))
    except (ModelError, DataError):
        return
    require(False, f"must raise ModelError without the student's logits. Found {value}")


def check_teacher_logits(loss: OutputLoss, /) -> None:
    """A teacher that answers in another shape is refused, unless its classes may be others."""
    context = _context(loss, 6, _CLASSES)
    if not loss.same_classes:
        value = loss(context._replace(teacher_output=normal(6, _CLASSES + 1)))
        require(torch.isfinite(value), f"declares that classes may differ. Found {value.item()} for one class more")
        return
    try:
        value = loss(context._replace(teacher_output=normal(6, _CLASSES + 1)))
    except ShapeMismatch as error:
        require(str(_CLASSES + 1) in str(error), f"must name both shapes in its message. Found {error}")
    else:
        require(False, f"must raise ShapeMismatch for a teacher of other classes. Found {value}")


def check_output_non_negative(loss: OutputLoss, /) -> None:
    """Never below zero."""
    for seed in range(5):
        value = loss(_context(loss, 6, _CLASSES, student=3 * normal(6, _CLASSES, seed=seed)))
        require(value >= -_ROUNDING, f"declares non_negative, so it must be at least 0. Found {value.item()}")


def check_output_zero_when_equal(loss: OutputLoss, /) -> None:
    """Zero for a student that answers as the teacher does."""
    logits = normal(6, _CLASSES, seed=1)
    value = loss(_context(loss, 6, _CLASSES, student=logits, teacher=logits.clone()))
    require(
        value.abs() < 10 * _ROUNDING, f"declares zero_when_equal, so equal logits must give 0. Found {value.item()}"
    )


def check_output_minimum_batch(loss: OutputLoss, /) -> None:
    """A batch below ``minimum_batch`` is refused with the reason; one at it works."""
    smallest = loss.minimum_batch
    value = loss(_context(loss, smallest, _CLASSES))
    require(torch.isfinite(value), f"must work on its minimum_batch of {smallest}. Found {value.item()}")
    if smallest == 1:
        return
    try:
        value = loss(_context(loss, smallest - 1, _CLASSES))
    except ShapeMismatch as error:
        require(str(smallest) in str(error), f"must name its minimum_batch in its message. Found {error}")
    else:
        require(False, f"declares minimum_batch {smallest}, so it must refuse {smallest - 1} samples. Found {value}")


def check_output_batch_order(loss: OutputLoss, /) -> None:
    """The same permutation of everything changes nothing."""
    context = _context(loss, 6, _CLASSES)
    order = normal(6, seed=3).argsort()
    permuted = context._replace(
        targets=context.targets[order],
        student_output=context.student_output[order],
        teacher_output=context.teacher_output[order],
    )
    first, second = loss(context), loss(permuted)
    require(
        torch.allclose(first, second, rtol=1e-4, atol=1e-6),
        f"must judge each sample by its own labels. Found {first.item()}, and {second.item()} permuted",
    )


def check_ignored_tokens(loss: OutputLoss, /) -> None:
    """Tokens whose label is -100 change neither value nor gradient; without any label left the value is 0."""
    context = _context(loss, 3, 4, _CLASSES)
    targets = context.targets.clone()
    targets[0, 2:], targets[2] = -100, -100
    ignored = (targets == -100).unsqueeze(-1)
    found = []
    for fill in (0.0, 50.0):
        logits = (context.student_output + ignored * fill * normal(3, 4, _CLASSES, seed=5)).requires_grad_()
        teacher = context.teacher_output + ignored * fill * normal(3, 4, _CLASSES, seed=6)
        value = loss(context._replace(targets=targets, student_output=logits, teacher_output=teacher))
        gradient = gradient_of(value, logits)
        require((gradient * ignored).abs().sum() == 0, "must give no gradient to tokens labelled -100. Found one")
        found.append((value.detach(), gradient))
    (value, gradient), (changed, gradient_after) = found
    require(
        torch.allclose(value, changed, rtol=1e-5) and torch.allclose(gradient, gradient_after, rtol=1e-4, atol=1e-7),
        f"must not look at tokens labelled -100. Found {value.item()}, and {changed.item()} with other logits there",
    )
    nothing = loss(context._replace(targets=torch.full_like(targets, -100)))
    require(nothing == 0, f"must give 0 where no token has a label. Found {nothing.item()}")


def check_output_degenerate_inputs(loss: OutputLoss, /) -> None:
    """Value and gradient are finite at constant, zero, equal and very large logits."""
    student, teacher = normal(6, _CLASSES, seed=1), normal(6, _CLASSES, seed=2)
    inputs = {
        "zero logits": (torch.zeros_like(student), teacher),
        "zeros on both sides": (torch.zeros_like(student), torch.zeros_like(teacher)),
        "constant logits": (torch.full_like(student, 3.0), torch.full_like(teacher, 3.0)),
        "equal logits": (student, student.clone()),
        "logits 10,000 times as large": (1e4 * student, 1e4 * teacher),
    }
    for name, (mine, theirs) in inputs.items():
        mine = mine.clone().requires_grad_()
        value = loss(_context(loss, 6, _CLASSES, student=mine, teacher=theirs))
        require(torch.isfinite(value), f"must be finite for {name}. Found {value.item()}")
        require(
            torch.isfinite(gradient_of(value, mine)).all(),
            f"must have a finite gradient for {name}. Found NaN or infinity",
        )


def check_output_half_precision(loss: OutputLoss, /) -> None:
    """Logits in bfloat16 and float16 are judged in full precision."""
    for dtype in (torch.bfloat16, torch.float16):
        half = _context(loss, 6, _CLASSES, dtype=dtype)
        full = _context(loss, 6, _CLASSES, dtype=dtype, then=torch.float32)
        value, expected = loss(half).float(), loss(full)
        require(
            torch.allclose(value, expected, rtol=1e-3, atol=1e-4),
            f"must be computed in full precision for logits in {dtype}. Found {value.item()} instead of "
            f"{expected.item()}",
        )


def check_output_autocast(loss: OutputLoss, /) -> None:
    """Under autocast it gives what it gives without: it computes in the logits' own precision."""
    context = _context(loss, 6, _CLASSES)
    expected = loss(context)
    with torch.autocast(context.student_output.device.type, dtype=torch.bfloat16):
        found = loss(context)
    require(
        found.dtype == expected.dtype and torch.allclose(found, expected, rtol=1e-5),
        f"must be computed in full precision under autocast. Found {found.item()} instead of {expected.item()}",
    )


def check_output_gradient_is_right(loss: OutputLoss, /) -> None:
    """The gradient is that of the value, by finite differences in float64."""
    context = _context(loss, 4, _CLASSES, dtype=torch.float64)

    def value(logits: Tensor) -> Tensor:
        return loss(context._replace(student_output=logits))

    logits = context.student_output.clone().requires_grad_()
    right = torch.autograd.gradcheck(value, logits, raise_exception=False, fast_mode=True)
    require(right, "must have the gradient of its value. Found another one: is a part of it a constant (.item())?")


def check_output_inputs_unchanged(loss: OutputLoss, /) -> None:
    """Nothing of the context is modified."""
    context = _context(loss, 6, _CLASSES)
    before = [each.clone() for each in context if isinstance(each, Tensor)]
    loss(context)
    after = [each for each in context if isinstance(each, Tensor)]
    same = all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    require(same, "must not modify its inputs. Found other values after the call")


def check_output_copies(loss: OutputLoss, /) -> None:
    """Deep copies, pickles and the state dict keep what it computes."""
    require_same_copies(loss, _value(loss))


def check_output_repr(loss: OutputLoss, /) -> None:
    """The ``repr`` rebuilds it."""
    require_same_repr(loss)


def check_output_documented(loss: OutputLoss, /) -> None:
    """Source, formula and example stand in the docstring."""
    require_example(loss)
    if "student_loss" not in loss.requires:
        require_formula_and_source(loss)


def check_output_compiles(loss: OutputLoss, /) -> None:
    """It compiles as one graph. Apart from the others: run-time shape checks and compiling exclude each other."""
    require_compiles(loss, _value(loss))


def _value(loss: OutputLoss) -> Callable[[nn.Module], Tensor]:
    context = _context(loss, 6, _CLASSES)
    return lambda module: module(context)


def _context(
    loss: OutputLoss,
    *shape: int,
    student: Tensor | None = None,
    teacher: Tensor | None = None,
    dtype: torch.dtype | None = None,
    then: torch.dtype | None = None,
) -> Context:
    """Everything that an output loss may ask for, for logits of ``shape``."""
    mine = normal(*shape, seed=1).to(dtype).to(then) if student is None else student
    theirs = normal(*shape, seed=2).to(dtype).to(then) if teacher is None else teacher
    labels = normal(*shape, seed=4)
    labels = labels.sigmoid() if loss.numeric_labels else labels.argmax(-1)
    own = mine.square().mean() if "student_loss" in loss.requires else None
    return Context(labels, None, mine, theirs, own)
