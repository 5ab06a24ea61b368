"""One batch through forward, backward and update, in as few calls as the training allows."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import DistributedType
from torch import nn
from torch.optim import Optimizer

from limbeck.batch import Batch
from limbeck.capture.capture import Captured
from limbeck.distiller.distiller import DistillOutput


class PlainStep:
    """The calls of torch, where one process updates after every batch and no scaler stands between.

    The same numbers as those of :class:`AcceleratedStep`, without what accelerate asks anew at every step; the share of
    that is large for small networks only.

    Args:
        model: what accelerate made of the distiller.
        optimizer: torch's own.
        clip: longest gradient; ``None`` for no limit.
    """

    updated: ClassVar[bool] = True

    def __init__(self, model: nn.Module, optimizer: Optimizer, clip: float | None) -> None:
        self.model, self.optimizer, self.clip = model, optimizer, clip
        self._parameters = list(model.parameters())

    def __call__(self, batch: Batch, captured: Captured | None) -> DistillOutput:
        """Run one batch."""
        out = self.model(batch, captured)
        self.optimizer.zero_grad()
        out.loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.clip)
        self.optimizer.step()
        # On a CPU, memory that is free during the forward goes back to the system, and is asked for again page by page
        # in the backward (5 % of a step of ResNet-18). Other devices keep what they free.
        if self._parameters[0].device.type != "cpu":
            self.optimizer.zero_grad()
        return out


class AcceleratedStep:
    """The calls of accelerate: several processes, a scaler, or batches whose gradients are summed.

    Args:
        model: what accelerate made of the distiller.
        optimizer: what accelerate made of the optimizer.
        clip: longest gradient; ``None`` for no limit.
        accelerator: made both.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, clip: float | None, accelerator: Accelerator) -> None:
        self.model, self.optimizer, self.clip, self.accelerator = model, optimizer, clip, accelerator
        self.updated = False

    def __call__(self, batch: Batch, captured: Captured | None) -> DistillOutput:
        """Run one batch."""
        accelerator = self.accelerator
        with accelerator.accumulate(self.model):
            out = self.model(batch, captured)
            accelerator.backward(out.loss)
            self.updated = accelerator.sync_gradients
            if self.updated and self.clip is not None:
                accelerator.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return out


Step = PlainStep | AcceleratedStep


def step_for(model: nn.Module, optimizer: Optimizer, clip: float | None, accelerator: Accelerator) -> Step:
    """The step that this training allows.

    Args:
        model: what accelerate made of the distiller.
        optimizer: what accelerate made of the optimizer.
        clip: longest gradient; ``None`` for no limit.
        accelerator: made both.
    """
    alone = accelerator.distributed_type == DistributedType.NO and accelerator.scaler is None
    if alone and accelerator.gradient_accumulation_steps == 1 and isinstance(optimizer, AcceleratedOptimizer):
        return PlainStep(model, optimizer.optimizer, clip)
    return AcceleratedStep(model, optimizer, clip, accelerator)


def autocast(accelerator: Accelerator) -> AbstractContextManager[None]:
    """The precision of the training, for forwards outside of the model that accelerate prepared."""
    return nullcontext() if accelerator.mixed_precision == "no" else accelerator.autocast()


def cheap_to_ask(accelerator: Accelerator) -> bool:
    """Whether reading a number waits for nothing: no device that runs ahead, no other process."""
    return accelerator.device.type == "cpu" and accelerator.num_processes == 1
