"""Models of torchvision, by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from limbeck.errors import ModelError, nearest
from limbeck.sources.building import building
from limbeck.sources.extra import optional


def torchvision_model(name: str, *, published: bool, options: Mapping[str, Any]) -> nn.Module:
    """Build a model of torchvision.

    Args:
        name: as in ``torchvision.models.list_models()``.
        published: load the weights that torchvision calls ``DEFAULT``; another set is asked for by the option
            ``weights``, such as ``IMAGENET1K_V1``.
        options: keyword arguments of the model's builder, such as ``num_classes``.

    Raises:
        ModelError: if torchvision has no such model, refuses the options, or the weights cannot be had.
        LimbeckError: if torchvision is not installed.

    Example:
        >>> torchvision_model("resnet18", published=False, options={"num_classes": 10}).fc
        Linear(in_features=512, out_features=10, bias=True)
    """
    full = f"torchvision:{name}"
    models = optional("torchvision.models", extra="vision", wanted_by=full)
    known = models.list_models()
    if name not in known:
        raise ModelError(
            f"torchvision has no model '{name}'. {nearest(name, known)} "
            "torchvision.models.list_models() is the full list."
        )
    asked: dict[str, Any] = {"weights": "DEFAULT" if published else None, **options}
    if "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
        # The builders of detectors and segmenters fetch a backbone unless they are told not to.
        asked.setdefault("weights_backbone", None)
    fetches = asked["weights"] is not None or asked.get("weights_backbone") is not None
    with building(full, options, fetches=fetches):
        return models.get_model(name, **asked)
