"""Builds the model that a name stands for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.errors import ModelError
from limbeck.sources.factory_models import factory_model
from limbeck.sources.hf_models import hf_model
from limbeck.sources.timm_models import timm_model
from limbeck.sources.torchvision_models import torchvision_model
from limbeck.sources.weights import load_weights

_LIBRARIES = {"timm": timm_model, "torchvision": torchvision_model, "hf": hf_model}
_KINDS = "timm:NAME, torchvision:NAME, hf:NAME or hf:PATH, package.module:factory, path.py:factory"


def load_model(name: str, *, weights: Path | str | None = None, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Build the model that a name stands for.

    Warning:
        Naming a factory (``package.module:factory``, ``path.py:factory``) runs its code. Nothing else that is read here
        can run any: weights are safetensors or tensors only, and code that comes with a hub's model is refused.

    Args:
        name: ``timm:NAME``, ``torchvision:NAME``, ``hf:NAME`` or ``hf:PATH``, ``package.module:factory`` or
            ``path.py:factory``.
        weights: a ``.safetensors``, ``.pt``, ``.pth``, ``.bin`` or ``.ckpt`` file or a folder of one; ``"pretrained"``
            for the weights that the library publishes; ``"random"`` for none. By default ``hf:`` loads the weights that
            its name stands for, timm and torchvision none, and a factory does as it pleases.
        options: keyword arguments of the model's builder; with ``hf:``, changes to its configuration.

    Raises:
        ModelError: if the name is not known (the nearest three are named), the hub cannot be reached, a factory fails
            or returns no module, or the weights do not fit exactly.
        LimbeckError: if the library is not installed; names the extra that installs it.

    Example:
        >>> load_model("timm:resnet10t", options={"num_classes": 10}).num_classes
        10
        >>> load_model("resnet10t")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        limbeck.errors.ModelError: A model needs its kind in front. Found 'resnet10t'. Write one of timm:NAME, ...
    """
    options = dict(options or {})
    kind, colon, rest = name.partition(":")
    if not colon or not rest or not kind:
        raise ModelError(f"A model needs its kind in front. Found '{name}'. Write one of {_KINDS}.")
    file = None if weights is None or weights in {"pretrained", "random"} else Path(weights).expanduser()
    if file is not None and not file.exists():
        # Before a large model is built for nothing.
        raise ModelError(
            f"Weights of {name} are to be read from {file}. There is no such file. Check the path, or write "
            '"pretrained" or "random".'
        )
    if kind in _LIBRARIES:
        published = weights == "pretrained" or (weights is None and kind == "hf")
        model = _LIBRARIES[kind](rest, published=published, options=options)
    elif file is None and weights is not None:
        raise ModelError(
            f"weights={str(weights)!r} is for timm, torchvision and hf. {name} is a factory, which decides itself. "
            "Give a file, or let the factory load them."
        )
    else:
        model = factory_model(name, options=options)
    if file is not None:
        load_weights(model, file)
    return model
