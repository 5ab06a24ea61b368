"""The student as a program of torch.export, a ``.pt2`` file that runs without its Python code."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.batch import ReadOutput, with_samples
from limbeck.errors import ModelError
from limbeck.export.answering import Answering
from limbeck.export.check import TRACED_BATCH, Run
from limbeck.export.exported import Exported
from limbeck.export.exporting import exporting
from limbeck.export.samples import free_axes

_ALTERNATIVE = "Export plain weights instead: to='safetensors' (--to safetensors)."


def to_torch(
    student: nn.Module, example_inputs: Any, path: Path | str, *, output: ReadOutput | None = None
) -> Exported:
    """Write a ``.pt2`` file for ``torch.export.load(path).module()``, for any batch size.

    Texts (``[B, L]`` integers) may also change in length, unless the student's code does not allow it; ``axes`` of the
    result says so.

    Args:
        student: the trained student; read, never changed.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        path: ends in ``.pt2``.
        output: how the one tensor to answer with is read from what the student returns; by default the logits, or the
            last hidden state.

    Raises:
        ModelError: if the student cannot be exported, or the file answers otherwise than the student.
        RunError: if the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exported = to_torch(nn.Linear(2, 3), torch.randn(4, 2), f"{folder}/student.pt2")
        >>> exported.axes, exported.max_difference < 1e-4
        (('batch',), True)
    """
    return exporting(
        student, example_inputs, path, output, kind="torch", suffix=".pt2", write=_written, alternative=_ALTERNATIVE
    )


def _written(trained: Answering, place: Path) -> tuple[Run, tuple[str, ...]]:
    program, axes = traced(trained)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch's writer warns of is its own business
        torch.export.save(program, place)
    return program_run(place), axes


def program_run(place: Path) -> Run:
    """What the program at ``place`` computes.

    Raises:
        ModelError: if the file does not say how it is called, as one written elsewhere may not.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.load(place)
        module = program.module()
    if program.example_inputs is None:
        raise ModelError(f"A program is called as it was traced. {place} does not hold how. Write it by to_torch.")
    _, keywords = program.example_inputs

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        return module(**{name: inputs[name] for name in keywords}) if keywords else module(*inputs.values())

    return run


def traced(trained: Answering) -> tuple[torch.export.ExportedProgram, tuple[str, ...]]:
    """Follow the student's forward on a batch of two and keep the sizes free that may change.

    Raises:
        ModelError: if torch.export cannot follow it.
    """
    program, axes = _traced(trained)
    read = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    inputs = zip(trained.inputs, program.graph_signature.user_inputs, strict=True)
    if trained.forget([name for name, node in inputs if node not in read]):
        program, axes = _traced(trained)
    return program, axes


def _traced(trained: Answering) -> tuple[torch.export.ExportedProgram, tuple[str, ...]]:
    example = with_samples(trained.inputs, TRACED_BATCH)
    trained.answer(example)  # a student that does not run at all deserves its own error
    axes = free_axes(trained.inputs)
    names = tuple(dict.fromkeys(name for each in axes.values() for name in each.values()))
    failure: Exception | None = None
    # Code may bind the length of a text, such as a fixed table of positions; the number of samples must stay free.
    for kept in dict.fromkeys([names, ("batch",)]):
        free = {
            name: {axis: torch.export.Dim.DYNAMIC for axis, role in each.items() if role in kept}
            for name, each in axes.items()
        }
        args, kwargs = trained.arguments(example)
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.export.export(trained, args, kwargs, dynamic_shapes=free), kept
        except Exception as error:
            failure = error
    reason = " ".join(str(failure).split())[:400]
    raise ModelError(
        f"torch.export must follow the forward of {trained.name} for any batch size. It could not: {reason} "
        f"Avoid decisions on values of tensors and fixed batch sizes there. {_ALTERNATIVE}"
    ) from failure
