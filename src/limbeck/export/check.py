"""Compares what an exported file answers with what the trained student answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from limbeck.batch import with_samples
from limbeck.errors import ModelError
from limbeck.export.answering import Answering
from limbeck.export.samples import shorter

TRACED_BATCH = 2
_CHECKED_BATCHES = (1, 3)
_TOLERANCE = 1e-4

Run = Callable[[Mapping[str, Tensor]], Tensor]


def checked(trained: Answering, exported: Run, axes: Iterable[str], *, alternative: str) -> float:
    """Run both on batches of other sizes than the traced one and return their largest relative difference.

    Args:
        trained: the trained student.
        exported: what the written file computes.
        axes: which sizes are free; with ``length``, texts of another length are compared too.
        alternative: what the user can do instead, for the error.

    Raises:
        ModelError: if the exported file does not run, the two differ by more than 1e-4 of the largest answer, or the
            student does not answer the same twice.
    """
    trials = [with_samples(trained.inputs, size) for size in _CHECKED_BATCHES]
    if "length" in axes:
        trials += [shorter(trial) for trial in trials]
    largest = 0.0
    for inputs in trials:
        expected = trained.answer(inputs)
        if not torch.isfinite(expected).all():
            raise ModelError(
                f"An export is checked on the answers of the trained student. Found some that are not finite from "
                f"{trained.name}. Train it anew, or give other example inputs."
            )
        if difference(expected, trained.answer(inputs)) > _TOLERANCE:
            raise ModelError(
                f"An export needs a student that answers the same twice. {trained.name} does not, in evaluation. "
                "Remove what draws random numbers there, such as a dropout that ignores training=False."
            )
        try:
            found = exported(inputs)
        except Exception as error:
            shapes = {name: list(tensor.shape) for name, tensor in inputs.items()}
            raise ModelError(
                f"The exported {trained.name} must run on any batch size. It failed on {shapes} ({error}). "
                f"{alternative}"
            ) from error
        largest = max(largest, difference(expected, found))
    if not largest <= _TOLERANCE:
        raise ModelError(
            f"The exported {trained.name} must answer as the trained student does, to {_TOLERANCE:g} of its largest "
            f"answer. Found a difference of {largest:.2g}. Nothing was written. {alternative}"
        )
    return largest


def difference(expected: Tensor, found: Tensor) -> float:
    """The largest difference as a share of the largest expected value; infinite if the shapes differ.

    Example:
        >>> difference(torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.0]))
        0.25
    """
    if expected.shape != found.shape:
        return float("inf")
    expected, found = expected.double(), found.double()
    if expected.numel() == 0:
        return 0.0
    scale = expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    return float(((expected - found).abs().max() / scale).nan_to_num(float("inf")))
