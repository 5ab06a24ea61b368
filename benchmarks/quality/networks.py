"""Teachers and students of several families; every one ends in a linear layer called ``head``."""

from __future__ import annotations

from typing import Any

import torch
from benchmarks.quality.data import TOKENS, mini_lm
from torch import Tensor, nn

VOCABULARY = 30_522
_CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d}
_NORMS: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


class _Block(nn.Module):
    """Two convolutions with a way around them."""

    def __init__(self, axes: int, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            _CONVOLUTIONS[axes](inputs, outputs, 3, stride=stride, padding=1, bias=False), _NORMS[axes](outputs),
            nn.ReLU(), _CONVOLUTIONS[axes](outputs, outputs, 3, padding=1, bias=False), _NORMS[axes](outputs),
        )  # fmt: skip
        same = inputs == outputs and stride == 1
        self.around = nn.Identity() if same else _CONVOLUTIONS[axes](inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.way(x) + self.around(x))


class ResNet(nn.Module):
    """Three stages of residual blocks, the width doubling from one to the next.

    Args:
        axes: 1 for series, 2 for images.
        width: channels of the first stage.
        blocks: of each stage.
        classes: how many.
    """

    def __init__(self, axes: int, *, width: int, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _CONVOLUTIONS[axes](1, width, 3, padding=1, bias=False), _NORMS[axes](width), nn.ReLU()
        )
        widths = [width, width, 2 * width, 4 * width]
        self.stages = nn.Sequential(
            *(
                nn.Sequential(
                    *(
                        _Block(axes, widths[stage] if not block else widths[stage + 1], widths[stage + 1],
                               2 if stage and not block else 1)
                        for block in range(blocks)
                    )
                )
                for stage in range(3)
            )
        )  # fmt: skip
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(x)).flatten(2).mean(-1))


class Plain(nn.Module):
    """Three convolutions, each with a norm and a step of two."""

    def __init__(self, axes: int, *, width: int, classes: int = 10) -> None:
        super().__init__()
        sizes = [1, width, 2 * width, 4 * width]
        self.stages = nn.Sequential(
            *(
                nn.Sequential(
                    _CONVOLUTIONS[axes](sizes[i], sizes[i + 1], 3, stride=2, padding=1), _NORMS[axes](sizes[i + 1]),
                    nn.ReLU(),
                )
                for i in range(3)
            )
        )  # fmt: skip
        self.head = nn.Linear(sizes[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(x).flatten(2).mean(-1))


class Perceptron(nn.Module):
    """Hidden layers of one width over all values at once."""

    def __init__(self, inputs: int, *, width: int, layers: int, classes: int = 10) -> None:
        super().__init__()
        sizes = [inputs, *[width] * layers]
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Linear(sizes[i], sizes[i + 1]), nn.ReLU()) for i in range(layers))
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x.flatten(1)))


class Recurrent(nn.Module):
    """Two gated recurrent layers over patches of four values."""

    def __init__(self, *, width: int, classes: int = 10, patch: int = 4) -> None:
        super().__init__()
        self.patch = patch
        self.layers = nn.ModuleList([nn.GRU(patch, width, batch_first=True), nn.GRU(width, width, batch_first=True)])
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1).unflatten(1, (-1, self.patch))
        for layer in self.layers:
            x = layer(x)[0]
        return self.head(x[:, -1])


def _encoder_layer(width: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
        width, max(1, width // 16), 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )


class PatchTransformer(nn.Module):
    """A vision transformer with a mean over its patches; on series, of patches of values.

    Args:
        axes: 1 for series of 40, 2 for images of 28 x 28.
        width: of its tokens.
        layers: how many.
        patch: side of a patch.
    """

    def __init__(self, axes: int, *, width: int, layers: int, patch: int, classes: int = 10) -> None:
        super().__init__()
        tokens = {1: 40 // patch, 2: (28 // patch) ** 2}[axes]
        self.patches = _CONVOLUTIONS[axes](1, width, patch, stride=patch)
        self.places = nn.Parameter(0.02 * torch.randn(1, tokens, width))
        self.layers = nn.ModuleList([_encoder_layer(width) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x).mean(1))


class TextTransformer(nn.Module):
    """A small transformer over tokens, with a mean over those that are no padding."""

    def __init__(self, *, width: int, layers: int, classes: int) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, width)
        self.places = nn.Parameter(0.02 * torch.randn(1, TOKENS, width))
        self.layers = nn.ModuleList([_encoder_layer(width) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x, padding = self.words(input_ids) + self.places[:, : input_ids.shape[1]], attention_mask == 0
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        return self.head(_mean(self.norm(x), attention_mask))


class Bag(nn.Module):
    """The mean of the words' embeddings and a perceptron of two layers."""

    def __init__(self, *, width: int, classes: int) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, width)
        self.layers = nn.Sequential(
            nn.Sequential(nn.Linear(width, width), nn.ReLU()), nn.Sequential(nn.Linear(width, width), nn.ReLU())
        )
        self.head = nn.Linear(width, classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.head(self.layers(_mean(self.words(input_ids), attention_mask)))


class MiniLM(nn.Module):
    """all-MiniLM-L6-v2, pre-trained, with a head on the mean of its tokens."""

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        from transformers import AutoModel

        self.encoder: Any = AutoModel.from_pretrained(mini_lm(), local_files_only=True, add_pooling_layer=False)
        self.head = nn.Linear(384, classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        found = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.head(_mean(found, attention_mask))


def _mean(x: Tensor, attention_mask: Tensor) -> Tensor:
    kept = attention_mask.unsqueeze(-1).to(x.dtype)
    return (x * kept).sum(1) / kept.sum(1).clamp_min(1)
