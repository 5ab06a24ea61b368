"""The optimizer and its rate."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable

import torch
from torch.optim import Optimizer

from limbeck.distiller.distiller import Distiller
from limbeck.errors import RecipeError, nearest
from limbeck.recipe.settings import Settings

MakeOptimizer = Callable[[Iterable[dict[str, object]]], Optimizer]


def make_optimizer(distiller: Distiller, settings: Settings, lr: float, own: MakeOptimizer | None = None) -> Optimizer:
    """An optimizer over the student and the projectors.

    Weight decay acts on the student's matrices only: biases, norms, projectors and everything else that a term learns
    have none (methods pitfall P5: a decayed projector lets the loss weight set its size).

    Args:
        distiller: what is trained.
        settings: name of the optimizer and weight decay.
        lr: the highest rate.
        own: a function of the user's from parameter groups to an optimizer, used instead.

    Raises:
        RecipeError: if ``torch.optim`` has no such class, or nothing is trainable.
    """
    matrices = [p for p in distiller.student.parameters() if p.requires_grad and p.ndim >= 2]
    known = {id(p) for p in matrices}
    others = [p for p in distiller.parameters() if p.requires_grad and id(p) not in known]
    if not matrices and not others:
        raise RecipeError("Nothing is trainable: every parameter of the student has requires_grad=False.")
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay, "lr": lr},
        {"params": others, "weight_decay": 0.0, "lr": lr},
    ]
    groups = [group for group in groups if group["params"]]
    if own is not None:
        return own(groups)
    names = [name for name, each in vars(torch.optim).items() if inspect.isclass(each) and issubclass(each, Optimizer)]
    if settings.optimizer not in names:
        raise RecipeError(f"torch.optim has no '{settings.optimizer}'. {nearest(settings.optimizer, names)}")
    return getattr(torch.optim, settings.optimizer)(groups, lr=lr)


def rate_factor(step: int, total: int, settings: Settings) -> float:
    """What the rate is multiplied with at a step: a straight rise, then a cosine to zero or a constant.

    Example:
        >>> [round(rate_factor(step, 100, Settings(warmup=0.1)), 2) for step in (0, 9, 10, 55, 99)]
        [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    rise = round(total * settings.warmup)
    if step < rise:
        return (step + 1) / rise
    if settings.decay == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))
