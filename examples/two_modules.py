"""Distil one module of your own into another, on data of your own.

Run: python examples/two_modules.py
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck


class Network(nn.Module):
    """Labels a series of four channels; teacher and student differ in width and in depth."""

    def __init__(self, width, blocks):
        super().__init__()
        self.stem = nn.Conv1d(4, width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, width, 3, padding=1), nn.ReLU()) for _ in range(blocks)
        )
        self.head = nn.Linear(width, 3)

    def forward(self, series):
        x = self.stem(series).relu()
        for block in self.blocks:
            x = x + block(x)
        return self.head(x.mean(-1))


def waves(samples, seed):
    """Noisy waves of three frequencies, each channel with a phase of its own."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (samples,), generator=generator)
    phases = torch.rand(samples, 4, 1, generator=generator) * 6.28
    clean = torch.sin(torch.arange(32) * (0.2 + 0.15 * labels)[:, None, None] + phases)
    return TensorDataset(clean + 0.7 * torch.randn(samples, 4, 32, generator=generator), labels)


def small():
    torch.manual_seed(1)
    return Network(width=8, blocks=2)


def main():
    torch.manual_seed(0)
    many = DataLoader(waves(2000, seed=0), batch_size=64, shuffle=True)
    few = DataLoader(waves(200, seed=1), batch_size=20, shuffle=True)
    validation, test = DataLoader(waves(300, seed=2), batch_size=300), DataLoader(waves(1000, seed=3), batch_size=1000)

    teacher = Network(width=48, blocks=4)
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=0.003)
    for series, labels in [batch for _ in range(6) for batch in many]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(teacher(series), labels).backward()
        optimizer.step()

    models = {"teacher": teacher, "student alone": small(), "student": small()}
    print(limbeck.plan(teacher, models["student"], few))
    # The rate is given to be quick; without lr limbeck searches for each recipe's own.
    limbeck.distill(teacher, models["student alone"], few, validation=validation, recipe="labels", steps=300, lr=0.03)
    report = limbeck.distill(teacher, models["student"], few, validation=validation, steps=300, lr=0.03)
    print(report.verdict)

    # One seed says little about which student is better: repeat with several, and let the rate be searched.
    series, labels = next(iter(test))
    for name, model in models.items():
        with torch.no_grad():
            print(f"{name}: {(model.eval()(series).argmax(1) == labels).float().mean():.3f} on test")


if __name__ == "__main__":
    main()
