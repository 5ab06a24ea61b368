"""The student as ONNX, for onnxruntime and other engines."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.batch import ReadOutput
from limbeck.errors import LimbeckError, ModelError
from limbeck.export.answering import Answering
from limbeck.export.check import Run
from limbeck.export.exported import Exported
from limbeck.export.exporting import exporting
from limbeck.export.program_file import traced
from limbeck.export.samples import free_axes

# A protobuf file ends at 2 GiB; larger weights go to a data file beside it.
_ONE_FILE = 1_800_000_000
_ALTERNATIVE = "Export a program of torch (--to torch) or plain weights (--to safetensors) instead."


def to_onnx(student: nn.Module, example_inputs: Any, path: Path | str, *, output: ReadOutput | None = None) -> Exported:
    """Write an ``.onnx`` file, for any batch size, and compare its answers in onnxruntime.

    Its inputs are named as the parameters of the student's ``forward``, its output ``output``. Weights above 1.8 GB go
    to a file ``.onnx.data`` beside it.

    Args:
        student: the trained student; read, never changed.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        path: ends in ``.onnx``.
        output: how the one tensor to answer with is read from what the student returns; by default the logits, or the
            last hidden state.

    Raises:
        ModelError: if the student cannot be exported, or the file answers otherwise than the student.
        RunError: if the file cannot be written.
        LimbeckError: if onnx, onnxscript or onnxruntime is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exported = to_onnx(nn.Linear(2, 3), torch.randn(4, 2), f"{folder}/student.onnx")
        >>> exported.axes, exported.max_difference < 1e-4
        (('batch',), True)
    """
    require_onnx()
    return exporting(
        student, example_inputs, path, output, kind="onnx", suffix=".onnx", write=_written, alternative=_ALTERNATIVE
    )


def require_onnx() -> None:
    """Refuse to begin without the packages.

    Raises:
        LimbeckError: if one of them is not installed.
    """
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401 - both are needed below, and would say so in their own words
    except ModuleNotFoundError as error:
        raise LimbeckError(
            f"ONNX needs the package {error.name}. It is not installed. Run pip install 'limbeck[export]'."
        ) from error


def _written(trained: Answering, place: Path) -> tuple[Run, tuple[str, ...]]:
    axes = write_graph(trained, place)
    return onnx_run(place), axes


def write_graph(trained: Answering, place: Path) -> tuple[str, ...]:
    """Write the student's graph and weights, unchecked; returns which sizes are free."""
    program, axes = traced(trained)
    _write(trained, program, axes, place)
    return axes


def onnx_run(place: Path) -> Run:
    """What the file at ``place`` computes, on the CPU, by as many threads as torch uses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait by spinning take the cores from whatever runs next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(place, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        # An input that the student never reads may be missing in the graph.
        feeds = {name: tensor.numpy() for name, tensor in inputs.items() if name in names}
        return torch.from_numpy(session.run(None, feeds)[0])

    return run


def needs_data_file(trained: Answering) -> bool:
    """Whether the weights are too large for one file."""
    return sum(tensor.numel() * tensor.element_size() for tensor in trained.state_dict().values()) > _ONE_FILE


def _write(trained: Answering, program: torch.export.ExportedProgram, axes: tuple[str, ...], place: Path) -> None:
    names = {
        name: {axis: role for axis, role in each.items() if role in axes}
        for name, each in free_axes(trained.inputs).items()
    }
    try:
        # The exporter tells its steps unless it is asked not to; what goes wrong it raises.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(program, dynamo=True, verbose=False, dynamic_shapes=names, output_names=["output"])
            if made is None:
                raise RuntimeError("torch.onnx returned no program")
            made.save(place, external_data=needs_data_file(trained))
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:400]
        raise ModelError(
            f"ONNX must know every operation of {trained.name}. It could not: {reason} {_ALTERNATIVE}"
        ) from error
