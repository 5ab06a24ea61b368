"""Compares what an exported file answers with what the trained student answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.batch import with_samples
from limbeck.errors import ModelError
from limbeck.export.answering import Answering
from limbeck.export.samples import shorter

TRACED_BATCH = 2
_CHECKED_BATCHES = (1, 3)
EXACT = 1e-4

Run = Callable[[Mapping[str, Tensor]], Tensor]


class Differences(NamedTuple):
    """How far the answers of an exported file are from those of the trained student.

    Attributes:
        largest: the largest difference of all batches, as a share of the largest answer.
        mean: the mean difference on the example inputs, as a share of their largest answer.
        agreement: share of the answers to the example inputs whose largest entry is the same one: where answers are
            logits, the share of equal predictions.
    """

    largest: float
    mean: float
    agreement: float


def checked(
    trained: Answering, exported: Run, axes: Iterable[str], *, tolerance: float = EXACT, alternative: str
) -> Differences:
    """Run both on the example inputs, and on batches of other sizes than the traced one.

    Args:
        trained: the trained student.
        exported: what the written file computes.
        axes: which sizes are free; with ``length``, texts of another length are compared too.
        tolerance: the largest difference that is accepted, as a share of the largest answer (1e-4, our choice: what
            another order of summation makes).
        alternative: what the user can do instead, for the error.

    Raises:
        ModelError: if the exported file does not run, the two differ by more, or the student does not answer the same
            twice.
    """
    trials = [with_samples(trained.inputs, size) for size in _CHECKED_BATCHES]
    if "length" in axes:
        trials += [shorter(trial) for trial in trials]
    pairs = [_both(trained, exported, inputs, alternative) for inputs in (*trials, trained.inputs)]
    largest = max(difference(expected, found) for expected, found in pairs)
    if not largest <= tolerance:
        raise ModelError(
            f"The exported {trained.name} must answer as the trained student does, to {tolerance:g} of its largest "
            f"answer. Found a difference of {largest:.2g}. Nothing was written. {alternative}"
        )
    expected, found = pairs[-1]
    return Differences(largest, difference(expected, found, mean=True), agreement(expected, found))


def _both(trained: Answering, exported: Run, inputs: Mapping[str, Tensor], alternative: str) -> tuple[Tensor, Tensor]:
    expected = trained.answer(inputs)
    if not torch.isfinite(expected).all():
        raise ModelError(
            f"An export is checked on the answers of the trained student. Found some that are not finite from "
            f"{trained.name}. Train it anew, or give other example inputs."
        )
    if difference(expected, trained.answer(inputs)) > EXACT:
        raise ModelError(
            f"An export needs a student that answers the same twice. {trained.name} does not, in evaluation. "
            "Remove what draws random numbers there, such as a dropout that ignores training=False."
        )
    try:
        return expected, exported(inputs)
    except Exception as error:
        shapes = {name: list(tensor.shape) for name, tensor in inputs.items()}
        raise ModelError(
            f"The exported {trained.name} must run on any batch size. It failed on {shapes} ({error}). {alternative}"
        ) from error


def difference(expected: Tensor, found: Tensor, *, mean: bool = False) -> float:
    """The largest (or mean) difference as a share of the largest expected value; infinite if the shapes differ.

    Example:
        >>> difference(torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.0]))
        0.25
        >>> difference(torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.0]), mean=True)
        0.125
    """
    if expected.shape != found.shape:
        return float("inf")
    expected, found = expected.double(), found.double()
    if expected.numel() == 0:
        return 0.0
    scale = expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    apart = (expected - found).abs()
    return float(((apart.mean() if mean else apart.max()) / scale).nan_to_num(float("inf")))


def agreement(expected: Tensor, found: Tensor) -> float:
    """Share of the answers whose largest entry is the same one.

    The entries are those of the last axis; of maps ``[B, C, H, W]`` those of ``C``.

    Example:
        >>> agreement(torch.tensor([[1.0, 2.0], [4.0, 3.0]]), torch.tensor([[1.0, 2.0], [2.9, 3.0]]))
        0.5
    """
    if expected.numel() == 0 or expected.ndim < 2:
        return 1.0
    axis = 1 if expected.ndim == 4 else -1
    return float((expected.argmax(axis) == found.argmax(axis)).double().mean())
