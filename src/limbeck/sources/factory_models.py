"""Models that a callable of the user's builds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from limbeck.errors import ModelError
from limbeck.sources.factory import Factory


def factory_model(name: str, *, options: Mapping[str, Any]) -> nn.Module:
    """Call ``package.module:factory`` or ``path.py:factory`` and check that it returned a model.

    Warning:
        Naming a factory runs its code. Name only code that you trust.

    Args:
        name: what to call; a class of modules is a factory too.
        options: its keyword arguments.

    Raises:
        ModelError: if it cannot be found, fails, or returns anything but a module.

    Example:
        >>> factory_model("torch.nn:Linear", options={"in_features": 2, "out_features": 3})
        Linear(in_features=2, out_features=3, bias=True)
    """
    factory = Factory(name, error=ModelError)
    if isinstance(factory.function, nn.Module):
        raise ModelError(
            f"{name} must be a factory. Found a ready {type(factory.function).__name__}, which every use would share. "
            "Write def factory(): return ..."
        )
    model = factory(**options)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{name} must return a torch.nn.Module. Found {type(model).__name__}. Return the model itself."
        )
    return model
