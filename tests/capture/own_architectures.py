"""Small networks written by hand, as users write them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.batch import Batch
from tests.capture.architecture import Architecture, Expected, Stage


class Recurrent(nn.Module):
    """Words, a recurrent layer, a class."""

    def __init__(self, layer: type[nn.RNNBase], reads: str) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 12)
        self.layer = layer(12, 16, batch_first=True)
        self.classify = nn.Linear(16, 3)
        self.reads = reads

    def forward(self, words: Tensor) -> Tensor:
        sequence, state = self.layer(self.embed(words))
        state = state[0] if isinstance(state, tuple) else state
        return self.classify({"state": state[-1], "last": sequence[:, -1], "mean": sequence.mean(1)}[self.reads])


class Series(nn.Module):
    """A 1-D convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 8, 5, padding=2),
            nn.BatchNorm1d(8),
            nn.ReLU(inplace=True),
            nn.Conv1d(8, 16, 5, stride=2, padding=2),
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x).mean(-1))


class FunctionalPooling(nn.Module):
    """Activations and pooling without modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(16 * 4, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, width, 3, stride, 1), nn.Conv2d(width, width, 3, 1, 1)
        self.around = nn.Identity() if (channels, stride) == (width, 1) else nn.Conv2d(channels, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.around(x))


class Attributes(nn.Module):
    """Blocks that are attributes; the answer is a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.block1, self.block2, self.block3 = Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 32, 2)
        self.fc = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.block3(self.block2(self.block1(F.relu(self.stem(image)))))
        return {"logits": self.fc(x.mean((2, 3)))}


class Twice(nn.Sequential):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )


class UNet(nn.Module):
    """Two levels down, two up, with skip connections that leave no cut point between the ends."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([Twice(3, 8), Twice(8, 16), Twice(16, 32)])
        self.up = nn.ModuleList([Twice(48, 16), Twice(24, 8)])
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down[0](x)
        middle = self.down[1](F.max_pool2d(fine, 2))
        coarse = self.down[2](F.max_pool2d(middle, 2))
        middle = self.up[0](torch.cat([F.interpolate(coarse, scale_factor=2.0), middle], 1))
        return self.out(self.up[1](torch.cat([F.interpolate(middle, scale_factor=2.0), fine], 1)))


class SumsOutside(nn.Module):
    """A residual stream that is added up in the network's own forward."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(6, 16)
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(3))
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)) for _ in range(3))
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for norm, block in zip(self.norms, self.blocks, strict=True):
            x = x + block(norm(x))
        return self.head(x)


class SequenceFirst(nn.Module):
    """An encoder that works on ``[L, B, C]``."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32)
        self.embed = nn.Embedding(50, 16)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(words).transpose(0, 1)).mean(0))


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 24),
        nn.ReLU(),
        nn.Linear(24, 16),
        nn.ReLU(),
        nn.Linear(16, 10),
    )


def small_cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True), nn.Dropout(0.1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)),
    )


def row(name: str, build: Callable[[], nn.Module], batch: Callable[[], Batch], expected: Expected) -> Architecture:
    return Architecture(name, build, batch, lambda _: expected)


def digits() -> Batch:
    return Batch(torch.randn(3, 1, 8, 8))


def words() -> Batch:
    return Batch(torch.randint(0, 50, (3, 9)))


# The last hidden layer of a perceptron is what its head reads: it stands there.
OWN = [
    row("perceptron", perceptron, digits, Expected((), 2, "7", 16)),
    row(
        "1-D convolutions",
        Series,
        lambda: Batch(torch.randn(3, 1, 40)),
        Expected(
            (Stage(8, (40,), "BCL", 0, "features.2"), Stage(16, (20,), "BCL", 0, "features.4")), 2, "classify", 16
        ),
    ),
    row(
        "GRU, last output",
        lambda: Recurrent(nn.GRU, "last"),
        words,
        Expected((Stage(16, (9,), "BNC", 0, "layer"),), 1, "classify", 16, -1),
    ),
    row(
        "GRU, state",
        lambda: Recurrent(nn.GRU, "state"),
        words,
        Expected((Stage(16, (9,), "BNC", 0, "layer"),), 1, "classify", 16, -1),
    ),
    row(
        "LSTM, state",
        lambda: Recurrent(nn.LSTM, "state"),
        words,
        Expected((Stage(16, (9,), "BNC", 0, "layer"),), 1, "classify", 16, -1),
    ),
    row(
        "LSTM, mean",
        lambda: Recurrent(nn.LSTM, "mean"),
        words,
        Expected((Stage(16, (9,), "BNC", 0, "layer"),), 1, "classify", 16),
    ),
    row(
        "small CNN",
        small_cnn,
        digits,
        Expected((Stage(8, (8, 8), module="2"), Stage(16, (4, 4), module="5")), 2, "9", 16),
    ),
    row(
        "functional pooling",
        FunctionalPooling,
        digits,
        Expected(
            (Stage(8, (8, 8), module="conv1"), Stage(16, (4, 4), module="conv2"), Stage(32, None, "BC", module="fc1")),
            3,
            "fc2",
            32,
        ),
    ),
    row(
        "blocks as attributes",
        Attributes,
        lambda: Batch({"image": torch.randn(3, 1, 8, 8)}),
        Expected(
            (Stage(8, (8, 8), module="block1"), Stage(16, (4, 4), module="block2"), Stage(32, (2, 2), module="block3")),
            3,
            "fc",
            32,
        ),
    ),
    row(
        "sums outside of modules",
        SumsOutside,
        lambda: Batch(torch.randn(3, 6)),
        Expected((Stage(16, None, "BC", module="norms.2:input"),), 3, "head", 16),
    ),
    row(
        "sequence first",
        SequenceFirst,
        words,
        Expected((Stage(16, (9,), "LBC", module="encoder.layers.1"),), 2, "head", 16),
    ),
    row(
        "U-Net",
        UNet,
        lambda: Batch(torch.randn(3, 3, 32, 32)),
        Expected(
            (
                Stage(8, (32, 32), module="down.0"),
                Stage(16, (16, 16), module="down.1"),
                Stage(32, (8, 8), module="down.2"),
                Stage(16, (16, 16), module="up.0"),
            ),
            4,
            "out",
            8,
            head_axes="BCHW",
        ),
    ),
]
