"""What several processes must decide together, so that none waits for another in vain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from limbeck.errors import LimbeckError

Made = TypeVar("Made")


def agreed(accelerator: Accelerator, *flags: bool) -> tuple[bool, ...]:
    """Each flag, true in all processes if it is true in one; in a single process as given, without a transfer.

    Example:
        >>> agreed(Accelerator(cpu=True), True, False)
        (True, False)
    """
    if accelerator.num_processes == 1:
        return flags
    together = torch.tensor([float(each) for each in flags], device=accelerator.device)
    return tuple(bool(each) for each in torch.as_tensor(accelerator.reduce(together, "sum")).tolist())


def main_process_makes(accelerator: Accelerator, make: Callable[[], Made]) -> Made | None:
    """What the main process makes; ``None`` in the others, which wait for it and fail as it does.

    Raises:
        LimbeckError: in every process the one that was raised in the main process.
    """
    made, failed = None, None
    if accelerator.is_main_process:
        try:
            made = make()
        except LimbeckError as error:
            failed = error
    if accelerator.num_processes > 1:
        told = [None if failed is None else (type(failed), str(failed))]
        kind_and_text = broadcast_object_list(told)[0]
        if failed is None and kind_and_text is not None:
            kind, text = kind_and_text
            failed = kind(text)
    if failed is not None:
        raise failed
    return made
