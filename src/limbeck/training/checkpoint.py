"""The state of an unfinished training on disk: written whole or not at all, read without running code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from limbeck.errors import RunError
from limbeck.training.state import State


class Checkpoint:
    """Saves and restores what accelerate prepared, with limbeck's own :class:`~limbeck.training.state.State`.

    accelerate writes model, optimizer and scaler, and reads them with ``weights_only``. Objects registered for
    checkpointing are not used: accelerate unpickles those without that guard.

    Args:
        path: folder of the checkpoint.
        accelerator: has prepared the distiller and its optimizer.
    """

    def __init__(self, path: Path, accelerator: Accelerator) -> None:
        self.path = path
        self.accelerator = accelerator

    def exists(self) -> bool:
        """Whether there is a whole checkpoint, or one that was being put in its place."""
        return (self.path / "state.json").is_file() or (self._old / "state.json").is_file()

    def save(self, state: State) -> None:
        """Write a new checkpoint, then put it in the place of the old one."""
        new = self.path.with_name(self.path.name + ".new")
        if self.accelerator.is_main_process:
            shutil.rmtree(new, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        # safetensors holds tensors only; what else a module keeps (get_extra_state) is written by torch.save.
        self.accelerator.save_state(str(new), safe_serialization=self._tensors_only)
        if self.accelerator.is_main_process:
            if state.best is not None:
                torch.save(state.best, new / "best.pt")
            if state.average is not None:
                torch.save(state.average.state_dict(), new / "average.pt")
            torch.save({name: each.detach().cpu() for name, each in self._left_out()}, new / "buffers.pt")
            (new / "state.json").write_text(json.dumps(state.counts()), encoding="utf-8")
            self._replace(new)
        self.accelerator.wait_for_everyone()

    def load(self, state: State) -> None:
        """Restore everything.

        Raises:
            RunError: if a file is missing, damaged, or of another model.
        """
        folder = self.path if (self.path / "state.json").is_file() else self._old
        try:
            counts = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            self.accelerator.load_state(str(folder))
            state.restore(counts, _read(folder / "best.pt"))
            self._restore_left_out(_read(folder / "buffers.pt") or {})
            average = _read(folder / "average.pt")
            if state.average is not None and average is not None:
                state.average.load_state_dict(average)
        except Exception as error:
            raise RunError(
                f"The checkpoint in '{folder}' cannot be read: {error}. If model and recipe are those of the run, the "
                "file is damaged: delete the folder and run again."
            ) from error

    def remove(self) -> None:
        """Delete it, when the training is finished."""
        if self.accelerator.is_main_process:
            shutil.rmtree(self.path, ignore_errors=True)
            shutil.rmtree(self._old, ignore_errors=True)

    @property
    def _tensors_only(self) -> bool:
        # accelerate lists what it has prepared under this name only.
        models: list[nn.Module] = self.accelerator._models
        return all(torch.is_tensor(value) for model in models for value in model.state_dict().values())

    def _left_out(self) -> Iterator[tuple[str, Tensor]]:
        """Buffers that are not persistent: no state dict has them, but a training may have moved them."""
        for index, model in enumerate(self.accelerator._models):
            kept = model.state_dict().keys()
            yield from ((f"{index}.{name}", each) for name, each in model.named_buffers() if name not in kept)

    @torch.no_grad()
    def _restore_left_out(self, saved: Mapping[str, Tensor]) -> None:
        for name, buffer in self._left_out():
            if name in saved:
                # In place, and of any size: several modules may hold it, and it may have grown.
                buffer.data = saved[name].to(buffer.device)

    @property
    def _old(self) -> Path:
        return self.path.with_name(self.path.name + ".old")

    def _replace(self, new: Path) -> None:
        # A folder cannot be replaced in one stroke: at every moment one of the two names holds a whole checkpoint. The
        # old one is the whole one where a run ended between the two renames.
        if self.path.exists():
            shutil.rmtree(self._old, ignore_errors=True)
            self.path.rename(self._old)
        new.rename(self.path)
        shutil.rmtree(self._old, ignore_errors=True)


def _read(file: Path) -> dict[str, Any] | None:
    # weights_only: tensors, numbers, texts and containers of them, whose reading runs no code.
    return torch.load(file, map_location="cpu", weights_only=True) if file.is_file() else None
