"""The first step whose loss was not finite, found without waiting for a device that runs ahead."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator
from torch import Tensor

from limbeck.batch import Batch
from limbeck.distiller.distiller import DistillOutput
from limbeck.errors import DataError, LimbeckError
from limbeck.training.loaders import data_fault, non_finite


class Diverged(LimbeckError):
    """The loss became infinite or NaN."""


class LossWatch:
    """Remembers the first step whose loss was not finite: its number, its terms, and what was wrong with its batch.

    Where a device runs ahead, or other processes are to be asked, everything is kept on the device, and whether there
    is something to tell is asked every few steps only. What was first is told then, not what came of it.

    Args:
        at_once: whether reading a loss waits for nothing, so that every one is looked at as it comes.

    Example:
        >>> watch, terms = LossWatch(at_once=False), torch.tensor([1.0, torch.nan])
        >>> for step in (1, 2):
        ...     watch.see(step, Batch(torch.ones(1)), DistillOutput(terms.sum(), terms, terms, None))
        >>> watch.faulty()
        True
    """

    def __init__(self, *, at_once: bool) -> None:
        self.at_once = at_once
        # Step, bad inputs, bad labels, loss, terms.
        self._kept: Tensor | None = None

    @torch.no_grad()
    def see(self, step: int, batch: Batch, out: DistillOutput) -> None:
        """Look at the loss of a step."""
        if self.at_once and math.isfinite(out.loss.item()):
            return
        loss = out.loss.detach().reshape(1).float()
        counts = [each.to(loss).reshape(1) for each in non_finite(batch)]
        now = torch.cat([loss.new_full((1,), step), *counts, loss, out.terms.float()])
        if self._kept is None:
            self._kept = torch.zeros_like(now)
        fresh = torch.isfinite(self._kept[3]) & ~torch.isfinite(now[3])
        self._kept = torch.where(fresh, now, self._kept)

    def faulty(self) -> bool:
        """Whether a loss was not finite; waits for the device."""
        return self._kept is not None and not math.isfinite(self._kept[3].item())

    def error(self, names: tuple[str, ...], lr: float | None, accelerator: Accelerator) -> LimbeckError:
        """What is said of it: what is wrong with the batch, or else with the rate; every process must call this.

        Args:
            names: of the terms.
            lr: the highest rate; ``None`` for the optimizer's own.
            accelerator: knows the other processes.
        """
        kept = None if self._kept is None or not self.faulty() else self._kept.tolist()
        mine = math.inf if kept is None else kept[0]
        first = int(_least(mine, accelerator))
        if kept is not None and (fault := data_fault(int(kept[1]), int(kept[2]))) is not None:
            return DataError(f"The training data cannot be used at step {int(mine)}: {fault}")
        where, found = "in another process", "one that is not"
        if kept is not None and mine == first:
            values = zip(names, kept[4:], strict=True)
            bad = next((name for name, value in values if not math.isfinite(value)), "the sum")
            where, found = f"first in '{bad}'", str(kept[3])
        rate = "the optimizer's own rate" if lr is None else f"lr={lr:g}"
        return Diverged(
            f"The loss must be finite. Found {found} at step {first} ({where}) with {rate}. "
            "Use a lower lr, or a smaller weight for that term."
        )


def _least(number: float, accelerator: Accelerator) -> float:
    if accelerator.num_processes == 1:
        return number
    gathered = accelerator.gather(torch.tensor([number], device=accelerator.device))
    return torch.as_tensor(gathered).min().item()
