"""Samples in tar files on this disk, each read from its place, so that they can be shuffled and known by number."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset

from limbeck.errors import DataError
from limbeck.sources.tar_sample import TarSample, key_and_kind


class _File(NamedTuple):
    offset: int
    size: int


class TarShards(Dataset[Any]):
    """The samples of local shards as pairs of image and label, or as images where there are no labels.

    The headers of the shards are read once, and then nothing but the samples that are asked for. A sample's number is
    its place in the shards, in their order, so that a cache finds it again.

    Args:
        paths: the shards, uncompressed tar files.
        sample: how a sample is read.

    Attributes:
        keys: the ``__key__`` of each sample, by its number.
        classes: how many there are; ``None`` without labels.

    Raises:
        DataError: if a shard cannot be read, is compressed, or a sample in it has no image or label.
    """

    def __init__(self, paths: Sequence[Path], sample: TarSample) -> None:
        self.paths, self.sample = list(paths), sample
        self.keys: list[str] = []
        places: list[tuple[int, int, int]] = []
        labels: list[int] = []
        for number, path in enumerate(self.paths):
            with path.open("rb") as content:
                for key, files in indexed(sample.full, path).items():
                    place = files[sample.image_kind(key, files)]
                    self.keys.append(key)
                    places.append((number, place.offset, place.size))
                    if sample.label is not None:
                        small = {sample.label: _read(content, files[sample.label])} if sample.label in files else {}
                        labels.append(sample.read_label(key, small))
        # Tensors, which worker processes share: lists of numbers would be copied into each of them.
        self._places = torch.tensor(places, dtype=torch.int64)
        self._labels = torch.tensor(labels, dtype=torch.int64)
        self.classes = max(labels) + 1 if labels else None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Any:
        shard, offset, size = self._places[index].tolist()
        with self.paths[shard].open("rb") as file:
            image = self.sample.read_image(self.keys[index], _read(file, _File(offset, size)))
        return image if self.sample.label is None else (image, int(self._labels[index]))


def indexed(full: str, path: Path) -> dict[str, dict[str, _File]]:
    """Where in a shard the files of each of its samples begin, and how long they are.

    Raises:
        DataError: if it is no uncompressed tar file, holds no sample, or two files of one name.
    """
    samples: dict[str, dict[str, _File]] = {}
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                named = key_and_kind(member.name) if member.isreg() else None
                if named is None or member.name.startswith("__"):
                    continue
                key, kind = named
                if kind in samples.setdefault(key, {}):
                    raise DataError(
                        f"{full} needs each file once. Found '{member.name}' twice in {path}. Write it anew."
                    )
                samples[key][kind] = _File(member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        raise DataError(
            f"{full} needs shards that are uncompressed tar files. {path} cannot be read so ({error}). Write it anew, "
            "or read compressed shards as a stream: --data-option stream=true."
        ) from error
    if not samples:
        raise DataError(f"{full} needs samples in every shard. Found none in {path}. Take it away, or write it anew.")
    return samples


def _read(file: Any, place: _File) -> bytes:
    file.seek(place.offset)
    return file.read(place.size)
