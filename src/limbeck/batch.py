"""How what a loader yields becomes the call of a model, and a model's answer becomes logits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from limbeck.errors import DataError, ModelError

LABEL_KEYS = ("labels", "label", "targets", "target", "y")
TEACHER_KEY = "teacher_"


class Batch(NamedTuple):
    """One batch of training data.

    Attributes:
        inputs: what both models are called with: a tensor, a tuple of arguments, or a dict of keyword arguments.
        targets: labels, or ``None``.
        keys: number of each sample and of its view, for losses and caches that know samples by name.
        teacher_inputs: what the teacher is called with where that is something else, such as the same text by another
            tokenizer; ``None`` where both are called with ``inputs``.
    """

    inputs: Any
    targets: Any = None
    keys: Int[Tensor, "B 2"] | None = None
    teacher_inputs: Any = None

    @property
    def size(self) -> int:
        """How many samples the batch holds."""
        return size_of(self.inputs)

    @property
    def mask(self) -> Bool[Tensor, "B N"] | None:
        """The padding mask among the inputs (``attention_mask``), ``True`` at valid positions."""
        mask = self.inputs.get("attention_mask") if isinstance(self.inputs, Mapping) else None
        return mask.bool() if isinstance(mask, Tensor) and mask.ndim == 2 else None

    @property
    def for_teacher(self) -> Batch:
        """The batch as the teacher sees it: with its inputs, and so with its padding mask."""
        return self if self.teacher_inputs is None else self._replace(inputs=self.teacher_inputs, teacher_inputs=None)

    @property
    def other_tokens(self) -> bool:
        """Whether the teacher reads other tokens, whose positions are none of the student's.

        Other numbers, such as the same photograph in another size, keep their places.
        """
        return self.teacher_inputs is not None and not first_tensor(self.teacher_inputs).is_floating_point()


class KeyedRaw(NamedTuple):
    """A batch as the user's collate function made it, and the number and view of each of its samples."""

    raw: Any
    keys: Int[Tensor, "B 2"]


Adapt = Callable[[Any], Batch]
ReadOutput = Callable[[Any], Any]


def adapt_batch(raw: Any) -> Batch:
    """Read ``x``, ``(x,)``, ``(x, y)``, ``(x1, x2, ..., y)`` or a dict whose labels stand under a usual name.

    A dict may hold other inputs for the teacher: whole, as ``teacher_inputs``, or one by one, each with ``teacher_`` in
    front of a name, at least one of which the student's inputs have too.

    Raises:
        DataError: if it is none of these, or one text stands in the place of its labels.

    Example:
        >>> adapt_batch((torch.zeros(4, 2), torch.zeros(4))).targets.shape
        torch.Size([4])
        >>> sorted(adapt_batch({"input_ids": torch.zeros(4, 2), "labels": torch.zeros(4)}).inputs)
        ['input_ids']
    """
    if isinstance(raw, Batch):
        return raw
    if isinstance(raw, Tensor):
        return Batch(raw)
    _refuse_one_text(raw)
    if isinstance(raw, Mapping):
        label = next((key for key in LABEL_KEYS if key in raw), None)
        inputs, others = _apart({key: value for key, value in raw.items() if key != label})
        return Batch(inputs, None if label is None else raw[label], teacher_inputs=others)
    if isinstance(raw, Sequence) and not isinstance(raw, str) and len(raw) > 0:
        if len(raw) == 1:
            return adapt_batch(raw[0])
        inputs = raw[0] if len(raw) == 2 else tuple(raw[:-1])
        return Batch(inputs, raw[-1])
    raise DataError(
        f"A batch must be a tensor, a tuple ending in labels, or a dict. Found {type(raw).__name__}. "
        "Give adapt=lambda raw: limbeck.Batch(inputs, targets)."
    )


def _apart(named: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The inputs of the student, and those that are the teacher's only, ``None`` for none."""
    if "teacher_inputs" in named:
        return {key: each for key, each in named.items() if not key.startswith(TEACHER_KEY)}, named["teacher_inputs"]
    others = {key.removeprefix(TEACHER_KEY): each for key, each in named.items() if key.startswith(TEACHER_KEY)}
    # A column that only happens to be called so, such as a teacher's score, is no input of a second form.
    if not others.keys() & named.keys():
        return dict(named), None
    return {key: each for key, each in named.items() if not key.startswith(TEACHER_KEY)}, others


def _refuse_one_text(raw: Any) -> None:
    """Refuse a sample that was taken for a batch: its label is one text, such as the name of its class."""
    labels = raw[-1] if isinstance(raw, Sequence) and len(raw) > 1 else None
    if isinstance(raw, Mapping):
        labels = next((raw[key] for key in LABEL_KEYS if key in raw), None)
    if isinstance(labels, str):
        raise DataError(
            f"A batch must have one label for each sample, as numbers. Found the text {labels!r} for all of them. "
            "Number the classes, and give DataLoader(dataset, batch_size=64, shuffle=True), which makes batches."
        )


def call(model: nn.Module, inputs: Any) -> Any:
    """Call ``model`` with the inputs of a batch; of a dict, with the entries that its ``forward`` takes."""
    if isinstance(inputs, Mapping):
        return model(**accepted(model, inputs))
    if isinstance(inputs, tuple):
        return model(*inputs)
    return model(inputs)


def accepted(model: nn.Module, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``inputs`` that the model's ``forward`` has a parameter for."""
    parameters = inspect.signature(unwrap(model).forward).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return dict(inputs)
    return {key: value for key, value in inputs.items() if key in parameters}


def unwrap(model: nn.Module) -> nn.Module:
    """The user's own module inside of DDP, FSDP1, ``torch.compile`` or a teacher whose images are normalised anew."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in {"DistributedDataParallel", "DataParallel", "Renormalised"}:
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def device_of(model: nn.Module) -> torch.device:
    """The device of a model's first parameter or buffer; the CPU for a model without any."""
    return next((each.device for each in (*model.parameters(), *model.buffers())), torch.device("cpu"))


def read_logits(output: Any) -> Any:
    """The logits in what a model returned: the tensor itself, ``.logits``, ``["logits"]``, or the first tensor.

    Returns ``None`` for an answer without logits, such as the hidden states of an encoder.

    Example:
        >>> read_logits((torch.zeros(2, 3), "more")).shape
        torch.Size([2, 3])
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        return output.get("logits")
    if hasattr(output, "logits"):
        return output.logits
    if isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        return output[0]
    return None


class KnownLogits(NamedTuple):
    """Logits that were read from a model's output before, or what a cache kept of them."""

    logits: Any


def logits_of(output: Any, read: ReadOutput) -> Any:
    """The logits in an output: as ``read`` finds them in what a model returned, or those that are known already."""
    return output.logits if isinstance(output, KnownLogits) else read(output)


def first_tensor(value: Any) -> Tensor:
    """The first tensor in a nested value.

    Raises:
        ModelError: if there is none.
    """
    found = next(iter(tensors(value)), None)
    if found is None:
        raise ModelError(f"A tensor is needed here. Found {type(value).__name__} without one.")
    return found


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a nested value of dicts, tuples, lists and model outputs, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [found for each in value for found in tensors(each)]
    return []


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A nested value with every tensor changed; dicts, tuples, named tuples and lists keep their form.

    Example:
        >>> map_tensors({"x": [torch.zeros(2)], "n": 3}, lambda tensor: tensor + 1)
        {'x': [tensor([1., 1.])], 'n': 3}
    """
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: map_tensors(each, change) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(each, change) for each in value))
    if isinstance(value, tuple | list):
        return type(value)(map_tensors(each, change) for each in value)
    return value


def move(value: Any, device: torch.device | str) -> Any:
    """A nested value with its tensors on ``device``, copied without waiting where the memory is pinned.

    The keys of a batch stay on the CPU: there a cache looks its rows up, and to fetch them back would wait for the
    device in every step.
    """
    if isinstance(value, Batch | KeyedRaw):
        return value._replace(**{name: move(each, device) for name, each in value._asdict().items() if name != "keys"})
    return map_tensors(value, lambda tensor: tensor.to(device, non_blocking=True))


def size_of(value: Any) -> int:
    """How many samples a nested value holds: the length of its first tensor that has an axis.

    Raises:
        ModelError: if there is none.
    """
    found = next((each for each in tensors(value) if each.ndim), None)
    if found is None:
        raise ModelError(f"A batch needs a tensor with one entry for each sample. Found {type(value).__name__}.")
    return len(found)


def with_samples(value: Any, count: int) -> Any:
    """The first ``count`` samples of a batch or of inputs, over again from the start if there are fewer.

    Tensors that are not one entry for each sample stay as they are.

    Example:
        >>> with_samples({"x": torch.tensor([[1], [2]]), "scale": torch.tensor(3)}, 3)
        {'x': tensor([[1],
                [2],
                [1]]), 'scale': tensor(3)}
    """
    size = size_of(value)
    places = torch.arange(count) % size

    def cut(tensor: Tensor) -> Tensor:
        return tensor[places.to(tensor.device)] if tensor.ndim and len(tensor) == size else tensor

    return map_tensors(value, cut)
