"""What a model costs: parameters, bytes as a file, milliseconds per call."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.batch import call, move, size_of, unwrap, with_samples
from limbeck.errors import LimbeckError
from limbeck.evaluating import evaluating

_WARM_UP = 3
# In the order in which safetensors lays them out, the last ones first.
_TYPES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.float32: "F32",
    torch.complex64: "C64",
    torch.float64: "F64",
    torch.int64: "I64",
}


def parameters(model: nn.Module) -> int:
    """Number of parameters, shared ones counted once.

    Example:
        >>> parameters(nn.Linear(2, 3))
        9
    """
    return sum(parameter.numel() for parameter in model.parameters())


def file_bytes(model: nn.Module) -> int:
    """Size of the weights and buffers as a safetensors file, shared ones counted once.

    Example:
        >>> file_bytes(nn.Linear(2, 3))   # 9 numbers of 4 bytes, and a header
        196
    """
    kept: dict[Any, tuple[str, Tensor]] = {}
    for name, tensor in unwrap(model).state_dict().items():
        identity = (tensor.data_ptr(), tensor.shape, tensor.stride()) if tensor.numel() else name
        kept.setdefault(identity, (name, tensor))
    ranks = {dtype: rank for rank, dtype in enumerate(_TYPES)}
    offset, header = 0, {}
    for name, tensor in sorted(kept.values(), key=lambda each: (-ranks.get(each[1].dtype, 0), each[0])):
        end = offset + tensor.numel() * tensor.element_size()
        kind = _TYPES.get(tensor.dtype, "F8_E4M3")
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = len(json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode())
    # Eight bytes give the header's length, which is filled up to a multiple of eight.
    return 8 + -(-text // 8) * 8 + offset


def latency(model: nn.Module, inputs: Any, *, batch: int | None = None, repeats: int = 30) -> float:
    """Median milliseconds of one call, in evaluation, without gradients, on the device that the model is on.

    Args:
        model: left in the mode it was in.
        inputs: a tensor, a tuple of arguments or a dict of keyword arguments.
        batch: use only so many samples of the inputs; all by default.
        repeats: calls that are timed, after three that are not (30, our choice).

    Raises:
        LimbeckError: if there are fewer samples than ``batch``, or ``repeats`` is below 1.

    Example:
        >>> latency(nn.Linear(4, 2), torch.zeros(8, 4), batch=1) > 0
        True
    """
    return latencies({"model": model}, inputs, batch=batch, repeats=repeats)["model"]


def latencies(
    models: Mapping[str, nn.Module], inputs: Any, *, batch: int | None = None, repeats: int = 30
) -> dict[str, float]:
    """Median milliseconds of one call of each of several models.

    The calls take turns, each round beginning with another model, so that a machine that grows slower or faster in
    between does so for all.

    Args:
        models: by name; each is measured on the device it is on and left in the mode it was in.
        inputs: a tensor, a tuple of arguments or a dict of keyword arguments, for all of them.
        batch: use only so many samples of the inputs; all by default.
        repeats: rounds that are timed, after three that are not (30, our choice).

    Raises:
        LimbeckError: if there are fewer samples than ``batch``, or ``repeats`` is below 1.

    Example:
        >>> models = {"small": nn.Linear(64, 64), "large": nn.Sequential(*[nn.Linear(64, 64) for _ in range(40)])}
        >>> measured = latencies(models, torch.zeros(8, 64), repeats=5)
        >>> measured["small"] < measured["large"]
        True
    """
    if repeats < 1:
        raise LimbeckError(f"Latency is the median of at least 1 call. Found repeats={repeats}. Use 30.")
    if batch is not None:
        if not 1 <= batch <= (samples := size_of(inputs)):
            raise LimbeckError(
                f"Latency of a batch of {batch} needs that many samples. Found {samples}. Give larger inputs."
            )
        inputs = with_samples(inputs, batch)
    placed = {name: move(inputs, _device(model)) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    names = list(models)
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        for model in models.values():
            stack.enter_context(evaluating(model))
        for turn in range(-_WARM_UP, repeats):
            start = turn % max(len(names), 1)
            for name in names[start:] + names[:start]:
                took = _milliseconds(models[name], placed[name])
                if turn >= 0:
                    times[name].append(took)
    return {name: statistics.median(each) for name, each in times.items()}


def _milliseconds(model: nn.Module, inputs: Any) -> float:
    device = _device(model)
    _wait(device)
    start = time.perf_counter()
    call(model, inputs)
    _wait(device)
    return (time.perf_counter() - start) * 1000.0


def _wait(device: torch.device) -> None:
    # An accelerator returns before it has computed.
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _device(model: nn.Module) -> torch.device:
    tensor = next(iter(model.parameters()), next(iter(model.buffers()), None))
    return torch.device("cpu") if tensor is None else tensor.device
