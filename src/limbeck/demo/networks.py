"""The two networks of the demo, for images of 8 x 8 in one channel."""

from __future__ import annotations

from torch import nn


def teacher() -> nn.Module:
    """A convolutional network of three stages, 241,898 parameters.

    Example:
        >>> sum(each.numel() for each in teacher().parameters())
        241898
    """
    return nn.Sequential(
        *_layer(1, 32), *_layer(32, 64), nn.MaxPool2d(2), *_layer(64, 128), *_layer(128, 128), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip


def student() -> nn.Module:
    """A perceptron of two hidden layers, 70 times smaller and of another family than its teacher.

    Example:
        >>> sum(each.numel() for each in student().parameters())
        3466
    """
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
    )  # fmt: skip


def _layer(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
