"""Inputs of a model's usual shape, where there is no data to show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from limbeck.errors import ModelError

SAMPLES = 2


def example_inputs(model: nn.Module) -> Any:
    """Random inputs of the shape that a model says it takes, or that its first convolution tells.

    Args:
        model: of timm (its ``pretrained_cfg``), of Hugging Face (its ``dummy_inputs``), or any whose first layer is a
            2-D convolution (then images of 224 x 224).

    Raises:
        ModelError: if the shape cannot be told.

    Example:
        >>> example_inputs(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU())).shape
        torch.Size([2, 1, 224, 224])
    """
    generator = torch.Generator().manual_seed(0)
    settings = getattr(model, "pretrained_cfg", None)
    if isinstance(settings, Mapping) and settings.get("input_size"):
        channels = getattr(model, "in_chans", settings["input_size"][0])
        return torch.randn(SAMPLES, channels, *settings["input_size"][1:], generator=generator)
    dummy = getattr(model, "dummy_inputs", None)
    if isinstance(dummy, Mapping) and dummy:
        return dict(dummy)
    first = next((each for each in model.modules() if not list(each.children()) and list(each.parameters())), None)
    if isinstance(first, nn.Conv2d):
        return torch.randn(SAMPLES, first.in_channels, 224, 224, generator=generator)
    raise ModelError(
        f"What {type(model).__name__} takes cannot be told from the model. Show it data: --data, such as a factory "
        "that returns a loader of a few inputs."
    )
