"""Exports to the format that is asked for by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.batch import ReadOutput
from limbeck.errors import LimbeckError, nearest
from limbeck.export.exported import Exported
from limbeck.export.huggingface_folder import to_huggingface
from limbeck.export.int8_file import to_onnx_int8
from limbeck.export.onnx_file import to_onnx
from limbeck.export.program_file import to_torch
from limbeck.export.weights_file import to_safetensors

# Each with the end of the name that it gets in a folder.
FORMATS: dict[str, tuple[str, Callable[..., Exported]]] = {
    "onnx": (".onnx", to_onnx),
    "onnx-int8": ("-int8.onnx", to_onnx_int8),
    "torch": (".pt2", to_torch),
    "safetensors": (".safetensors", to_safetensors),
    "huggingface": ("-huggingface", to_huggingface),
}


def export(
    student: nn.Module, example_inputs: Any, path: Path | str, *, to: str = "onnx", output: ReadOutput | None = None
) -> Exported:
    """Write the student to a file and check that the file answers as the student does.

    Args:
        student: the trained student; read, never changed.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments, as a loader yields them.
        path: the file; or a folder that exists, in which it is then called ``student`` with the format's ending. A
            folder that holds a ``config.json`` is an earlier export to ``huggingface``, and is written anew by that.
        to: ``onnx``, ``onnx-int8`` (weights in 8 bits), ``torch`` (a program of torch.export), ``safetensors`` (plain
            weights) or ``huggingface`` (a folder for ``from_pretrained``, of students of transformers).
        output: how the one tensor to answer with is read from what the student returns; by default the logits, or the
            last hidden state.

    Raises:
        LimbeckError: if the format is not known, or the student cannot be exported to it; names the alternatives.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exported = export(nn.Linear(2, 3), torch.randn(4, 2), folder, to="safetensors")
        >>> exported.path.name, exported.max_difference
        ('student.safetensors', 0.0)
    """
    if to not in FORMATS:
        raise LimbeckError(f"'{to}' is no format of export. {nearest(to, FORMATS)}")
    suffix, write = FORMATS[to]
    path = Path(path).expanduser()
    earlier = to == "huggingface" and (path / "config.json").is_file()
    named = path / f"student{suffix}" if path.is_dir() and not earlier else path
    return write(student, example_inputs, named, output=output)
