"""The optimizer and its rate."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer

from limbeck.distiller.distiller import Distiller
from limbeck.errors import RecipeError, nearest
from limbeck.recipe.settings import Settings

# The base class, one that wants the loss again within a step, one for sparse gradients.
_OF_ANOTHER_KIND = {"Optimizer", "LBFGS", "SparseAdam"}

MakeOptimizer = Callable[[Iterable[dict[str, object]]], Optimizer]


def make_optimizer(
    distiller: Distiller, settings: Settings, lr: float | None, own: MakeOptimizer | None = None
) -> Optimizer:
    """An optimizer over the student and the projectors.

    Weight decay acts on the student's matrices only: biases, norms, projectors and everything else that a term learns
    have none (methods pitfall P5: a decayed projector lets the loss weight set its size).

    Args:
        distiller: what is trained.
        settings: name of the optimizer and weight decay.
        lr: the highest rate; ``None`` for the rates that the user's own optimizer comes with.
        own: a function of the user's from parameter groups to an optimizer, used instead.

    Raises:
        RecipeError: if ``torch.optim`` has no such class, nothing is trainable, or the user's function gives something
            else than an optimizer.
    """
    matrices = [p for p in distiller.student.parameters() if p.requires_grad and p.ndim >= 2]
    known = {id(p) for p in matrices}
    others = [p for p in distiller.parameters() if p.requires_grad and id(p) not in known]
    if not matrices and not others:
        raise RecipeError("Nothing is trainable: every parameter of the student has requires_grad=False.")
    rate = {} if lr is None else {"lr": lr}
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay, **rate},
        {"params": others, "weight_decay": 0.0, **rate},
    ]
    groups = [group for group in groups if group["params"]]
    if own is not None:
        return _checked(own(groups))
    classes = ((name, each) for name, each in vars(torch.optim).items() if inspect.isclass(each))
    found: dict[str, Any] = {name: each for name, each in classes if issubclass(each, Optimizer)}
    names = [name for name in found if name not in _OF_ANOTHER_KIND]
    if settings.optimizer not in names:
        raise RecipeError(
            f"An optimizer is a class of torch.optim that steps on dense gradients. Found '{settings.optimizer}'. "
            f"{nearest(settings.optimizer, names)}"
        )
    cls = found[settings.optimizer]
    try:
        return cls(groups, **rate, **_fused(cls, [*matrices, *others]))
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"{settings.optimizer} must take the student's matrices, vectors and projectors. It does not: {error}. Use "
            "AdamW or SGD, or in Python optimizer=function."
        ) from error


def _fused(cls: type[Optimizer], parameters: list[torch.nn.Parameter]) -> dict[str, bool]:
    """One kernel for all parameters, where optimizer and device have one: several times as fast, the same update."""
    able = "fused" in inspect.signature(cls).parameters
    plain = all(type(each) is torch.nn.Parameter and each.is_floating_point() for each in parameters)
    return {"fused": True} if able and plain and {each.device.type for each in parameters} <= {"cpu", "cuda"} else {}


def _checked(made: object) -> Optimizer:
    if isinstance(made, Optimizer):
        return made
    raise RecipeError(
        "optimizer= must be a function from parameter groups to a torch.optim.Optimizer. Found that it gave a "
        f"{type(made).__name__}. Give, for instance, lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9)."
    )


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
