"""What a call of limbeck finds and gives back: gradient mode, generators, devices and modes of the models."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.errors import ModelError
from limbeck.randomness import own_randomness


@contextmanager
def undisturbed(*models: nn.Module) -> Iterator[None]:
    """While entered, gradients are recorded whatever the caller's mode; afterwards everything is as it was.

    That is: the random generators, the device of each model and the training or evaluation mode of each of its
    modules. A model that is spread over several devices is gathered on that of its first parameter.

    Raises:
        ModelError: if a model was built in inference mode, as nothing can be learnt through such tensors.

    Example:
        >>> model = nn.Linear(2, 2).eval()
        >>> with torch.no_grad(), undisturbed(model):
        ...     model.train()(torch.ones(1, 2)).requires_grad
        True
        >>> model.training
        False
    """
    for model in models:
        if any(each.is_inference() for each in (*model.parameters(), *model.buffers())):
            raise ModelError(
                f"The weights of {type(model).__name__} must be ordinary tensors. Found tensors made in "
                "torch.inference_mode(), which take no gradients. Build or load the model outside of it."
            )
    modes = [(module, module.training) for model in models for module in model.modules()]
    devices = [(model, each.device) for model in models for each in itertools.islice(model.parameters(), 1)]
    with own_randomness(), torch.inference_mode(False), torch.enable_grad():
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            for model, device in devices:
                model.to(device)


def frozen_statistics(student: nn.Module) -> list[nn.Module]:
    """The batch norms that the user froze: in evaluation mode in a student that is itself in training mode.

    In a student that is in evaluation mode as a whole, as many libraries hand out their models, nothing was frozen.

    Example:
        >>> student = nn.Sequential(nn.BatchNorm1d(2).eval(), nn.BatchNorm1d(2))
        >>> len(frozen_statistics(student)), len(frozen_statistics(student.eval()))
        (1, 0)
    """
    keeping = [each for each in student.modules() if torch.is_tensor(getattr(each, "running_mean", None))]
    return [each for each in keeping if student.training and not each.training]


def into_training(distiller: Distiller) -> None:
    """Put student, projectors and losses into training mode, but for the batch norms that the user froze."""
    frozen = frozen_statistics(distiller.student)
    distiller.train()
    for norm in frozen:
        norm.eval()


def frozen_choices(student: nn.Module) -> list[Choice]:
    """What is said of the batch norms that the user froze; nothing if there are none."""
    norms = len(frozen_statistics(student))
    reason = "they are in evaluation mode in a student that is in training mode, so they stay as they are"
    return [Choice("frozen batch norms", norms, reason)] if norms else []
