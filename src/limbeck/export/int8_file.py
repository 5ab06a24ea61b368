"""The student as ONNX with its weights in 8 bits."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.batch import ReadOutput
from limbeck.errors import ModelError
from limbeck.export.answering import Answering
from limbeck.export.check import Run
from limbeck.export.exported import Exported
from limbeck.export.exporting import exporting
from limbeck.export.onnx_file import needs_data_file, onnx_run, require_onnx, write_graph

TOLERANCE = 0.1
_AGREEMENT = 0.95
_ALTERNATIVE = (
    "Export it with weights in full precision (--to onnx); where the difference is acceptable, give "
    "to_onnx_int8(tolerance=)."
)


def to_onnx_int8(
    student: nn.Module,
    example_inputs: Any,
    path: Path | str,
    *,
    output: ReadOutput | None = None,
    tolerance: float = TOLERANCE,
) -> Exported:
    """Write an ``.onnx`` file with weights in 8 bits, whose activations are brought to 8 bits as it runs.

    By the dynamic quantisation of onnxruntime; no data is needed. Matrix products take weights of 7 bits and a sign,
    one scale a channel, which cannot overflow on any CPU; convolutions and embeddings take 8 bits without a sign.
    Convolutions in groups stay as they are: they hold few weights, and onnxruntime runs them several times slower in
    8 bits. Expect a quarter of the size; faster are transformers, hardly convolutional networks.

    Args:
        student: the trained student; read, never changed.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments; real ones, as the difference is
            measured on them.
        path: ends in ``.onnx``.
        output: how the one tensor to answer with is read from what the student returns; by default the logits, or the
            last hidden state.
        tolerance: the largest difference to the student that is accepted, as a share of its largest answer (0.1, our
            choice: a ResNet, a MobileNet, a ViT and a BERT with random weights differ by 0.02 to 0.07).

    Warns:
        UserWarning: if the largest entry differs in more than 5 % (our choice) of the answers to the example inputs.

    Raises:
        ModelError: if the student cannot be exported, has nothing to quantise, or the file answers too differently.
        RunError: if the file cannot be written.
        LimbeckError: if onnx, onnxscript or onnxruntime is not installed.

    Example:
        >>> import tempfile, torch; _ = torch.manual_seed(0)
        >>> student = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exported = to_onnx_int8(student, torch.randn(8, 64), f"{folder}/student.onnx")
        >>> exported.max_difference < 0.1, exported.bytes < 0.4 * 4 * sum(each.numel() for each in student.parameters())
        (True, True)
    """
    require_onnx()
    exported = exporting(
        student, example_inputs, path, output, kind="onnx-int8", suffix=".onnx", write=_written,
        alternative=_ALTERNATIVE, tolerance=tolerance,
    )  # fmt: skip
    if exported.agreement < _AGREEMENT:
        warnings.warn(
            f"An int8 export should leave the largest entry of an answer where it is. Found it elsewhere in "
            f"{1 - exported.agreement:.0%} of the answers to the example inputs. Judge {exported.path} on held-out "
            "data before it is used, or export in full precision (--to onnx).",
            stacklevel=2,
        )
    return exported


def _written(trained: Answering, place: Path) -> tuple[Run, tuple[str, ...]]:
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        exact, half = Path(folder, "exact.onnx"), Path(folder, "half.onnx")
        axes = write_graph(trained, exact)
        try:
            with _quiet():
                _quantise(exact, half, place, external=needs_data_file(trained))
        except OSError:
            raise
        except Exception as error:
            raise ModelError(
                f"onnxruntime must be able to quantise the graph of {trained.name}. It could not: "
                f"{' '.join(str(error).split())[:400]} {_ALTERNATIVE}"
            ) from error
    _require_integers(trained, place)
    return onnx_run(place), axes


def _quantise(exact: Path, half: Path, place: Path, *, external: bool) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    nodes = onnx.load(str(exact), load_external_data=False).graph.node
    grouped = [each.name for each in nodes if any(found.name == "group" and found.i != 1 for found in each.attribute)]
    quantise = partial(quantize_dynamic, use_external_data_format=external)
    # onnxruntime's convolution is three times slower with signed weights; its matrix product is the faster for them,
    # but lets products of 8 bits overflow on CPUs without VNNI.
    quantise(
        exact, half, weight_type=QuantType.QUInt8, op_types_to_quantize=["Conv", "Gather"], nodes_to_exclude=grouped
    )
    quantise(
        half, place, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
        op_types_to_quantize=["MatMul", "Gemm", "Attention", "LSTM"],
    )  # fmt: skip


def _require_integers(trained: Answering, place: Path) -> None:
    import onnx

    weights = onnx.load(str(place), load_external_data=False).graph.initializer
    eight = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    if not any(each.data_type in eight and len(each.dims) for each in weights):
        raise ModelError(
            f"An int8 export needs matrix products, convolutions or embeddings. Found none to quantise in "
            f"{trained.name}. Export it with weights in full precision (--to onnx)."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime's advice out of the root logger, which a first message would also give a handler."""
    root, handler, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        root.removeHandler(handler)
