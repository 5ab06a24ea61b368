"""The two networks of the demo, for images of 8 x 8 in one channel."""

from __future__ import annotations

from torch import nn


def teacher() -> nn.Module:
    """A convolutional network of three stages, 288,874 parameters.

    Example:
        >>> sum(each.numel() for each in teacher().parameters())
        288874
    """
    return nn.Sequential(
        *_layer(1, 32), *_layer(32, 64), nn.MaxPool2d(2), *_layer(64, 128), *_layer(128, 128), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def student() -> nn.Module:
    """A convolutional network a hundred times smaller."""
    return nn.Sequential(
        *_layer(1, 4), nn.MaxPool2d(2), *_layer(4, 8), nn.MaxPool2d(2), *_layer(8, 16),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


def _layer(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
