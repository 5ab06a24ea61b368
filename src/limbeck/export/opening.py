"""Runs an exported file again."""

from __future__ import annotations

from limbeck.export.check import Run
from limbeck.export.exported import Exported
from limbeck.export.onnx_file import onnx_run
from limbeck.export.program_file import program_run

_RUNS = {"onnx": onnx_run, "onnx-int8": onnx_run, "torch": program_run}


def opened(exported: Exported) -> Run | None:
    """What the file computes from named inputs; ``None`` for weights, which the student's own code runs.

    Example:
        >>> import tempfile, torch
        >>> from limbeck.export import to_torch
        >>> student, x = torch.nn.Linear(2, 3), torch.randn(4, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = opened(to_torch(student, x, f"{folder}/student.pt2"))
        >>> torch.allclose(run({"input": x}), student(x))
        True
    """
    return _RUNS[exported.format](exported.path) if exported.format in _RUNS else None
