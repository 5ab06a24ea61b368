"""Shards read from beginning to end, as they come over a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import IterableDataset

from limbeck.errors import DataError
from limbeck.sources.extra import optional
from limbeck.sources.hub import brief
from limbeck.sources.tar_sample import TarSample


class ShardStream(IterableDataset[Any]):
    """The samples of shards, in turn, as pairs of image and label, or as images where there are no labels.

    Args:
        shards: paths or addresses, read through the package webdataset.
        sample: how a sample is read.
        buffer: how many samples to shuffle among; 0 for the order of the shards. Order is drawn from torch's generator,
            which limbeck seeds anew for each epoch.
    """

    def __init__(self, shards: Sequence[str], sample: TarSample, *, buffer: int = 0) -> None:
        self.shards, self.sample, self.buffer = list(shards), sample, buffer

    def __iter__(self) -> Iterator[Any]:
        for key, files in raw_samples(self.sample.full, self.shards, self.buffer):
            image = self.sample.read_image(key, files[self.sample.image_kind(key, files)])
            yield image if self.sample.label is None else (image, self.sample.read_label(key, files))


def raw_samples(full: str, shards: Sequence[str], buffer: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The ``__key__`` of each sample and its files, undecoded.

    Raises:
        DataError: if a shard cannot be read.
        LimbeckError: if webdataset is not installed.
    """
    webdataset = optional("webdataset", extra="data", wanted_by=full)
    order = int(torch.randint(2**31, ()))
    # Every process reads all shards: accelerate deals the samples of a stream out itself.
    stream = webdataset.WebDataset(
        list(shards),
        shardshuffle=len(shards) if buffer else False,
        seed=order,
        nodesplitter=None,
        empty_check=False,
    )
    try:
        for raw in stream.shuffle(buffer, seed=order) if buffer else stream:
            yield raw["__key__"], {kind: content for kind, content in raw.items() if not kind.startswith("__")}
    except Exception as error:
        raise DataError(
            f"{full} needs shards that can be read to their end. Found otherwise ({brief(error)}). Check the "
            "addresses, and that each is a tar file."
        ) from error
