"""Models of timm, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from limbeck.errors import ModelError, nearest
from limbeck.sources.building import building
from limbeck.sources.extra import optional


def timm_model(name: str, *, published: bool, options: Mapping[str, Any]) -> nn.Module:
    """Build a model of timm.

    Args:
        name: as in ``timm.list_models()``, with or without a tag; or timm's own ``hf-hub:NAME`` and ``local-dir:PATH``.
        published: load the weights that timm publishes.
        options: keyword arguments of ``timm.create_model``, such as ``num_classes``.

    Raises:
        ModelError: if timm has no such model, refuses the options, or the weights cannot be had.
        LimbeckError: if timm is not installed.

    Example:
        >>> timm_model("resnet10t", published=False, options={"num_classes": 10}).fc
        Linear(in_features=512, out_features=10, bias=True)
    """
    full = f"timm:{name}"
    timm = optional("timm", extra="vision", wanted_by=full)
    elsewhere = ":" in name  # hf-hub: and local-dir: names, which no list holds
    if not elsewhere and not timm.is_model(name):
        raise ModelError(
            f"timm {timm.__version__} has no model '{name}'. {nearest(name, timm.list_models())} "
            "timm.list_models() is the full list."
        )
    with building(full, options, fetches=elsewhere or bool(options.get("pretrained", published))):
        return timm.create_model(name, **{"pretrained": published, **options})
