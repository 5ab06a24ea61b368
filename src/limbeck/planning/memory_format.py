"""In which order convolutional networks keep their channels while they train."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import torch
import torch.distributed as dist
from torch import Tensor, nn

from limbeck.batch import Batch, call, move, tensors
from limbeck.choice import Choice
from limbeck.recipe.settings import MemoryFormat

# Our choice: a gain smaller than this is within the noise of a clock, which should not decide how a run is rounded.
_LEAST_GAIN = 0.1
_ROUNDS = 3
_NAME = "memory format"


@contextmanager
def memory_format(
    asked: MemoryFormat, student: nn.Module, teacher: nn.Module, batch: Batch
) -> Iterator[tuple[Choice, ...]]:
    """While entered, both networks keep their weights in the format asked for; afterwards each as it was.

    Only networks of 2-D convolutions have a choice. With ``auto`` a forward of the teacher and a forward and backward
    of the student are timed in both formats, on copies, and channels last is taken if it saves a tenth of the time.
    Several processes measure nothing, as they must agree.

    Args:
        asked: what the settings say.
        student: is trained.
        teacher: runs.
        batch: to measure on.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3))
        >>> with memory_format("channels last", net, nn.Conv2d(3, 8, 3), Batch(torch.zeros(2, 3, 8, 8))) as choices:
        ...     net[0].weight.is_contiguous(memory_format=torch.channels_last), choices[0].value
        (True, 'channels last')
        >>> net[0].weight.is_contiguous()
        True
    """
    choice = _chosen(asked, student, teacher, batch)
    if choice is None or choice.value != "channels last":
        yield () if choice is None else (choice,)
        return
    before = [_formats(model) for model in (student, teacher)]
    try:
        for model in (student, teacher):
            _put(model, dict.fromkeys(_formats(model), torch.channels_last))
        yield (choice,)
    finally:
        for model, formats in zip((student, teacher), before, strict=True):
            _put(model, formats)


def _chosen(asked: MemoryFormat, student: nn.Module, teacher: nn.Module, batch: Batch) -> Choice | None:
    if asked == "as given":
        return None
    convolutional = any(isinstance(each, nn.Conv2d) for model in (student, teacher) for each in model.modules())
    if not convolutional or not any(each.ndim == 4 for each in tensors(batch.inputs)):
        return Choice(_NAME, "as given", "there is no 2-D convolution of images")
    if asked == "channels last":
        return Choice(_NAME, asked, "given")
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return Choice(_NAME, "as given", "several processes measure different times and must agree")
    given, last = _measured(student, teacher, batch)
    seconds = {"as given": round(given, 5), "channels last": round(last, 5)}
    gain = 1 - last / given
    saved = f"{100 * gain:.0f} % of the seconds of a step" if gain > 0 else "nothing"
    value = "channels last" if gain >= _LEAST_GAIN else "as given"
    return Choice(_NAME, value, f"channels last saves {saved}, and is taken from {100 * _LEAST_GAIN:.0f} % on", seconds)


def _measured(student: nn.Module, teacher: nn.Module, batch: Batch) -> tuple[float, float]:
    """Seconds of a step as given and with channels last, measured in turn; the first round warms up."""
    given = copy.deepcopy(student).train(), copy.deepcopy(teacher).eval()
    last = copy.deepcopy(given)
    for model in last:
        _put(model, dict.fromkeys(_formats(model), torch.channels_last))
    rounds = [[_seconds(lambda pair=pair: _step(*pair, batch)) for pair in (given, last)] for _ in range(_ROUNDS + 1)]
    return median(each[0] for each in rounds[1:]), median(each[1] for each in rounds[1:])


def _step(student: nn.Module, teacher: nn.Module, batch: Batch) -> None:
    device = next(student.parameters()).device
    inputs = move(batch.inputs, device)
    with torch.no_grad():
        call(teacher, inputs)
    answers = [each for each in tensors(call(student, inputs)) if each.requires_grad]
    if answers:
        torch.stack([each.float().square().mean() for each in answers]).sum().backward()
        student.zero_grad()


def _seconds(work: Callable[[], None]) -> float:
    _wait()
    before = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - before


def _wait() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def _images(model: nn.Module) -> dict[str, Tensor]:
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: each for name, each in named.items() if each.ndim == 4}


def _formats(model: nn.Module) -> dict[str, torch.memory_format]:
    # What is contiguous in both, such as weights of 1x1 convolutions, counts as contiguous.
    return {
        name: torch.contiguous_format if each.is_contiguous() else torch.channels_last
        for name, each in _images(model).items()
    }


@torch.no_grad()
def _put(model: nn.Module, formats: dict[str, torch.memory_format]) -> None:
    for name, each in _images(model).items():
        if name in formats:
            each.data = each.data.contiguous(memory_format=formats[name])
