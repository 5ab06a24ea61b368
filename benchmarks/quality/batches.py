"""Batches of tensors that are held in memory: in a seeded order, augmented or mixed where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from benchmarks.quality.data import Samples, picked
from torch import Tensor
from torch.nn import functional as F

from limbeck import Batch

Augment = Callable[[Tensor], Tensor]


class Batches:
    """A loader whose batches know the numbers of their samples.

    Args:
        samples: what to go through.
        keys: number of each sample within the pair's data.
        size: of a batch; the last ones of a pass are left out, as in most trainings.
        seed: of the order; ``None`` for one whole pass in the given order.
        augment: changes inputs at random.
        mixed: whether half of each batch is mixed with itself. Mixed samples have no label (a row of zeros among the
            shares of the classes); what student and teacher say of them is compared.
        classes: how many, for the shares.
        labelled: whether the labels are given.
    """

    def __init__(
        self,
        samples: Samples,
        keys: Tensor,
        *,
        size: int,
        seed: int | None,
        augment: Augment | None = None,
        mixed: bool = False,
        classes: int = 0,
        labelled: bool = True,
    ) -> None:
        self.samples, self.keys, self.size, self.seed = samples, keys, min(size, len(samples)), seed
        self.augment, self.mixed, self.classes, self.labelled = augment, mixed, classes, labelled
        self.dataset = range(len(samples))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.samples) // self.size if self.seed is not None else -(-len(self.samples) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.arange(len(self.samples))
        if self.seed is not None:
            generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
            order = torch.randperm(len(order), generator=generator)
        for places in order.split(self.size)[: len(self)]:
            yield self._batch(places)

    def _batch(self, places: Tensor) -> Batch:
        inputs, targets = picked(self.samples.inputs, places), self.samples.labels[places]
        if self.augment is not None and isinstance(inputs, Tensor):
            inputs = self.augment(inputs)
        if self.mixed and isinstance(inputs, Tensor):
            inputs, targets = mix(inputs, F.one_hot(targets, self.classes).float())
        keys = torch.stack([self.keys[places], torch.zeros_like(places)], 1)
        return Batch(inputs, targets if self.labelled else None, keys)


def mix(inputs: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Mixup of the second half of a batch with the first: lambda from 0 to 1 for each sample, labels taken off."""
    clean = len(inputs) - len(inputs) // 2
    weight = torch.rand(len(inputs) - clean, *[1] * (inputs.ndim - 1))
    others = inputs[torch.randperm(len(inputs))[clean:]]
    mixed = weight * inputs[clean:] + (1 - weight) * others
    return torch.cat([inputs[:clean], mixed]), torch.cat([shares[:clean], torch.zeros_like(shares[clean:])])


def shifted(series: Tensor) -> Tensor:
    """Every series moved round by up to four values, and scaled by up to a tenth."""
    moves = torch.randint(-4, 5, (len(series), 1))
    places = (torch.arange(series.shape[-1]) + moves) % series.shape[-1]
    scale = 1 + 0.2 * (torch.rand(len(series), 1, 1) - 0.5)
    return series.gather(-1, places.unsqueeze(1)) * scale


def flipped(images: Tensor) -> Tensor:
    """Every image mirrored or not, and moved by up to two pixels in each direction."""
    side = images.shape[-1]
    padded = F.pad(images, (2, 2, 2, 2), mode="replicate")
    tops, lefts = torch.randint(5, (2, len(images), 1, 1))
    rows, columns = torch.arange(side).view(1, -1, 1) + tops, torch.arange(side).view(1, 1, -1) + lefts
    moved = padded[torch.arange(len(images)).view(-1, 1, 1), 0, rows, columns].unsqueeze(1)
    return torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, moved.flip(-1), moved)
