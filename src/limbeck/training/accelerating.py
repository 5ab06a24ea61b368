"""The accelerator of a training, and what accelerate keeps for the whole process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, is_initialized
from accelerate.utils import DataLoaderConfiguration, DistributedDataParallelKwargs

from limbeck.errors import RecipeError
from limbeck.recipe.settings import Settings


def make_accelerator(settings: Settings, device: str | torch.device | None = None) -> Accelerator:
    """An accelerator for these settings; the processes and their backend are the launcher's choice.

    On CUDA devices that can, bf16 is the default; on a CPU it is not, as autocast is slower there. Several processes
    that torchrun started on a machine with a CPU only train together on it.

    Raises:
        RecipeError: if the device asked for is not the one that accelerate uses here, it joins none of several
            processes that were started together, or it was told to use FSDP, DeepSpeed or Megatron-LM.
    """
    _refuse_other_engines()
    wanted = _device(device)
    precision = settings.precision
    if precision is None:
        fast = torch.cuda.is_available() and device != "cpu" and torch.cuda.is_bf16_supported()
        precision = "bf16" if fast else "no"
    # accelerate keeps one state a process and refuses another precision: this training may want one.
    if is_initialized() and AcceleratorState().mixed_precision != precision:
        AcceleratorState._reset_state()
    accelerator = Accelerator(
        cpu=str(device) == "cpu" or (_launched() > 1 and not torch.accelerator.is_available()),
        mixed_precision=precision,
        gradient_accumulation_steps=settings.accumulate,
        dataloader_config=DataLoaderConfiguration(
            use_seedable_sampler=True, data_seed=settings.seed, non_blocking=True
        ),
    )
    if _launched() > 1 and accelerator.num_processes == 1:
        raise RecipeError(
            f"{_launched()} processes were launched to train together. Found that accelerate trains alone in each, on "
            f"'{accelerator.device}'. Give device='cpu', make no Accelerator of another kind before, or launch one "
            "process."
        )
    if wanted is not None and (
        wanted.type != accelerator.device.type or wanted.index not in {None, accelerator.device.index}
    ):
        raise RecipeError(
            f"Training was to run on '{wanted}'. Found that accelerate uses '{accelerator.device}' in this process. "
            "Make another device the visible one (CUDA_VISIBLE_DEVICES), launch with torchrun, or leave device out."
        )
    return accelerator


def find_unused_parameters(accelerator: Accelerator) -> None:
    """Let the processes look, at every step, which parameters have no gradient; to be called before preparing.

    DDP waits for the gradient of every parameter otherwise, and fails where a step leaves some out.
    """
    accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=True)  # pyright: ignore[reportAttributeAccessIssue]


def twin(accelerator: Accelerator) -> Accelerator:
    """Another accelerator of the same device, precision and accumulation, with a scaler and models of its own.

    Example:
        >>> first = make_accelerator(Settings(accumulate=2), "cpu")
        >>> twin(first).gradient_accumulation_steps, twin(first).device == first.device
        (2, True)
    """
    # Device and precision are the process's, which every accelerator takes over.
    return Accelerator(
        gradient_accumulation_steps=accelerator.gradient_accumulation_steps,
        dataloader_config=accelerator.dataloader_config,
    )


@contextmanager
def accelerate_state_kept() -> Iterator[None]:
    """Give accelerate's precision and accumulation back as they were: the user may have an accelerator of their own.

    Example:
        >>> own = Accelerator(cpu=True)
        >>> with accelerate_state_kept():
        ...     make_accelerator(Settings(precision="bf16"), "cpu").mixed_precision
        'bf16'
        >>> own.mixed_precision
        'no'
    """
    shared = [each._shared_state for each in (AcceleratorState, GradientState)]
    before = [dict(each) for each in shared]
    try:
        yield
    finally:
        # Emptied and filled in place: the user's accelerators hold these very dicts.
        for state, kept in zip(shared, before, strict=True):
            state.clear()
            state.update(kept)


def _refuse_other_engines() -> None:
    """Refuse what splits the student, also where accelerate overlooks it, as FSDP on a CPU."""
    for name in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):
        # What accelerate's own launcher and plugins set.
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true":
            raise RecipeError(
                f"limbeck.distill needs a student in one piece, which accelerate wraps in DDP. Found that accelerate "
                f"is to use {name} (ACCELERATE_USE_{name}). Launch with torchrun, or shard student and terms in a loop "
                "of your own: see docs/how-to/cluster.md."
            )


def _launched() -> int:
    """How many processes torchrun started together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _device(device: str | torch.device | None) -> torch.device | None:
    try:
        return None if device is None else torch.device(device)
    except RuntimeError as error:
        raise RecipeError(
            f"A device is a kind that torch knows, with or without a number. Found '{device}'. Use 'cpu', 'cuda', "
            "'cuda:0' or 'mps', or leave device out."
        ) from error
