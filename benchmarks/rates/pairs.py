"""Small networks of four families for series of 40 numbers."""

import torch
from torch import nn


class _Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv1d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(),
            nn.Conv1d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm1d(outputs),
        )  # fmt: skip
        same = inputs == outputs and stride == 1
        self.around = nn.Identity() if same else nn.Conv1d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        return torch.relu(self.way(x) + self.around(x))


class ResNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(1, width, 3, padding=1, bias=False), nn.BatchNorm1d(width), nn.ReLU())
        self.blocks = nn.Sequential(
            _Block(width, width, 1), _Block(width, 2 * width, 2), _Block(2 * width, 4 * width, 2)
        )
        self.head = nn.Linear(4 * width, 10)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean(-1))


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.GRU(4, 32, 2, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.layers(x.reshape(len(x), -1, 4))[0][:, -1])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Linear(4, 32)
        self.positions = nn.Parameter(0.02 * torch.randn(1, 10, 32))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True) for _ in range(3)
        )
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.embedding(x.reshape(len(x), -1, 4)) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(1))


def perceptron():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
        nn.Linear(64, 10),
    )  # fmt: skip
