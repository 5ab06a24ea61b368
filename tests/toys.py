"""Small pairs that tests across folders train."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Counting(nn.Module):
    """Counts the samples that a model sees."""

    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, 0

    def forward(self, x):
        self.seen += len(x)
        return self.model(x)


def conv_net(width: int, classes: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 4 * width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(4 * width, classes),
    )  # fmt: skip


def images(count: int = 96, seed: int = 0) -> TensorDataset:
    """Images whose label is the quarter that is brightest: learnable in a few steps."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=generator)
    pictures = torch.randn(count, 1, 8, 8, generator=generator)
    for picture, label in zip(pictures, labels, strict=True):
        row, column = divmod(int(label), 2)
        picture[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1.5
    return TensorDataset(pictures, labels)


def loader(count: int = 96, seed: int = 0, batch_size: int = 16, **options) -> DataLoader:
    return DataLoader(images(count, seed), batch_size=batch_size, shuffle=options.pop("shuffle", True), **options)


def pair(seed: int = 0) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    return conv_net(8), conv_net(3)


def trained(model: nn.Module, steps: int = 60) -> nn.Module:
    """The model after a few steps on the images, so that it has something to teach."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    data = loader(256, seed=9, batch_size=32)
    done = 0
    while done < steps:
        for inputs, targets in data:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
            done += 1
    return model.eval()
