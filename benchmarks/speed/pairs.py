"""Pairs of models, a batch for both, and the four places at which their features are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

CLASSES = 10


@dataclass(frozen=True)
class Pair:
    """Two models and their data.

    Attributes:
        name: in the table.
        teacher: builds the teacher.
        student: builds the student.
        batch: makes inputs and labels.
        links: student's and teacher's module, and the channels of both, for each link.
        channel: which axis of these modules' outputs holds the channels.
        batch_size: of a step.
        projector: makes the map from a student's channels to a teacher's that an expert would take.
    """

    name: str
    teacher: Callable[[], nn.Module]
    student: Callable[[], nn.Module]
    batch: Callable[[int], tuple[Any, Tensor]]
    links: tuple[tuple[str, str, int, int], ...]
    channel: int
    batch_size: int
    projector: Callable[[int, int], nn.Module]


class Series(nn.Module):
    """A small 1-D convolutional net for series of 40 numbers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = [1, width, 2 * width, 2 * width, 4 * width]
        self.stages = nn.Sequential(
            *(
                nn.Sequential(nn.Conv1d(a, b, 3, stride=2 if i else 1, padding=1), nn.BatchNorm1d(b), nn.ReLU())
                for i, (a, b) in enumerate(pairwise(sizes))
            )
        )
        self.head = nn.Linear(4 * width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, 1, 40]`` to logits."""
        return self.head(self.stages(x).mean(-1))


class Encoder(nn.Module):
    """A BERT for sentence classification that takes token numbers alone and gives logits."""

    def __init__(self, layers: int, width: int, *, words: int) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=words, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 32,
            intermediate_size=4 * width, attn_implementation="sdpa", hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        self.bert = BertModel(config, add_pooling_layer=False)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        """``[B, L]`` to logits."""
        return self.head(self.bert(tokens).last_hidden_state[:, 0])


def resnet(name: str) -> Callable[[], nn.Module]:
    """A torchvision ResNet with random weights."""
    import torchvision

    return lambda: getattr(torchvision.models, name)(num_classes=CLASSES)


def _short_resnet() -> nn.Module:
    from torchvision.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=CLASSES)


def _images(size: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    return lambda count: (torch.randn(count, 3, size, size), torch.randint(CLASSES, (count,)))


def _series(count: int) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 1, 40), torch.randint(CLASSES, (count,))


def _tokens(words: int) -> Callable[[int], tuple[Tensor, Tensor]]:
    return lambda count: (torch.randint(words, (count, 32)), torch.randint(CLASSES, (count,)))


def pairs(*, quick: bool = False) -> list[Pair]:
    """A tiny 1-D pair, ResNet-34 into ResNet-18, and a 6-layer encoder of MiniLM's size into one of 2 layers.

    Args:
        quick: with networks, images and batches so small that only the program is tried, not its speed.
    """
    size, batch, words = (32, 8, 100) if quick else (64, 32, 30522)
    large, small = (_short_resnet, _short_resnet) if quick else (resnet("resnet34"), resnet("resnet18"))
    widths = (64, 128, 256, 512)
    mine, theirs = (32, 64) if quick else (128, 384)
    return [
        Pair(
            "tiny 1-D conv", lambda: Series(24), lambda: Series(8), _series,
            tuple((f"stages.{i}", f"stages.{i}", 8 * m, 24 * m) for i, m in enumerate((1, 2, 2, 4))),
            channel=1, batch_size=128, projector=partial(nn.Conv1d, kernel_size=1),
        ),
        Pair(
            "ResNet-34 to ResNet-18", large, small, _images(size),
            tuple((f"layer{i + 1}", f"layer{i + 1}", width, width) for i, width in enumerate(widths)),
            channel=1, batch_size=batch, projector=partial(nn.Conv2d, kernel_size=1),
        ),
        Pair(
            "MiniLM to 2 layers", lambda: Encoder(6, theirs, words=words), lambda: Encoder(2, mine, words=words),
            _tokens(words),
            tuple((f"bert.encoder.layer.{s}", f"bert.encoder.layer.{t}", mine, theirs) for s, t in ((0, 2), (1, 5))),
            channel=-1, batch_size=batch // 2, projector=nn.Linear,
        ),
    ]  # fmt: skip
