"""The student's weights alone, as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from limbeck.batch import ReadOutput
from limbeck.export.answering import Answering
from limbeck.export.check import Run
from limbeck.export.exported import Exported
from limbeck.export.exporting import exporting


def to_safetensors(
    student: nn.Module, example_inputs: Any, path: Path | str, *, output: ReadOutput | None = None
) -> Exported:
    """Write the weights and buffers of the student; tied ones once, under the first of their names.

    Args:
        student: the trained student; read, never changed.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments, for the check.
        path: ends in ``.safetensors``.
        output: how the answer is read for the check; by default the logits, or the last hidden state.

    Raises:
        ModelError: if a student with the weights read back answers otherwise.
        RunError: if the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     to_safetensors(nn.Linear(2, 3), torch.randn(4, 2), f"{folder}/student.safetensors").max_difference
        0.0
    """

    def write(trained: Answering, place: Path) -> tuple[Run, tuple[str, ...]]:
        save_file(storable(trained.student.state_dict()), place, metadata={"format": "pt"})
        emptied = Answering(student, example_inputs, output)
        for tensor in [*emptied.student.parameters(), *emptied.student.state_dict().values()]:
            # A weight that the file does not fill must show in the answers.
            tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor.zero_()
        emptied.student.load_state_dict(load_file(place), strict=False)
        return emptied.answer, ()

    return exporting(
        student, example_inputs, path, output, kind="safetensors", suffix=".safetensors", write=write,
        alternative="Keep weights in parameters and buffers.",
    )  # fmt: skip


def storable(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What safetensors can hold of a state dict: tied tensors once, views of larger ones as copies.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> sorted(storable({"a": layer.weight, "tied": layer.weight, "part": layer.weight[:1]}))
        ['a', 'part']
    """
    kept: dict[str, Tensor] = {}
    seen: set[tuple[Any, ...]] = set()
    storages: set[int] = set()
    for name, tensor in state.items():
        identity = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and identity in seen:
            continue
        seen.add(identity)
        shared = tensor.untyped_storage().data_ptr() in storages
        storages.add(tensor.untyped_storage().data_ptr())
        tensor = tensor.detach().contiguous()
        kept[name] = tensor.clone() if shared else tensor
    return kept
