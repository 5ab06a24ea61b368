"""Images in shards of the WebDataset format: tar files in which the files of a sample share their name."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from limbeck.errors import DataError
from limbeck.sources.data import Data
from limbeck.sources.extra import optional
from limbeck.sources.images import MEAN, STD, image_normalisation, image_transform, reading_workers
from limbeck.sources.loaders import part_loaders
from limbeck.sources.shard_stream import ShardStream, raw_samples
from limbeck.sources.tar_sample import TarSample
from limbeck.sources.tar_shards import TarShards, indexed

_BUFFER = 1_000


def web_dataset(  # noqa: PLR0913 - every argument is an option of the data
    shards: str,
    *,
    batch_size: int = 32,
    seed: int = 0,
    size: int = 224,
    mean: Sequence[float | int] = MEAN,
    std: Sequence[float | int] = STD,
    workers: int | None = None,
    validation: str | None = None,
    test: str | None = None,
    image: str | None = None,
    label: str | None = None,
    classes: int | None = None,
    stream: bool | None = None,
) -> Data:
    """Images in shards, cut to a square and normalised; no augmentation.

    Shards on this disk are read sample by sample, each from its place: the order is drawn over all of them, and samples
    are known by number, as a cache needs it. Shards at an address are a stream, read from beginning to end and shuffled
    1,000 samples at a time (our choice).

    Args:
        shards: to train on: ``photos-{0000..0003}.tar``, ``photos-*.tar``, or an ``http(s)://`` address with braces.
        batch_size: images in a batch (32, our choice).
        seed: of the order of the training batches.
        size: side of the square in pixels; the shorter side is scaled to 8/7 of it first.
        mean: subtracted from each channel (ImageNet's).
        std: each channel is divided by it (ImageNet's).
        workers: processes that read images; by default none below 1,000 images or for a stream, else up to four.
        validation: shards to validate with, in the same form; none by default.
        test: shards for the final number, in the same form; none by default.
        image: kind of file that is the image, such as ``jpg``; not needed if samples have one image.
        label: kind of file that is the label, ``cls`` or ``json:ENTRY``; by default ``cls``, where samples have it.
        classes: how many classes there are; of shards on this disk it is counted.
        stream: whether to read from beginning to end; by default only what is at an address.

    Raises:
        DataError: if a shard is missing or cannot be read, a sample has no image or label, or an address is no
            ``http(s)://``.
        LimbeckError: if webdataset or torchvision is not installed.
    """
    full = f"webdataset:{shards}"
    normalisation = image_normalisation(full, mean, std)
    transform = image_transform(full, size, normalisation)
    asked = {"train": shards, "validation": validation, "test": test}
    found = {part: _found(full, pattern) for part, pattern in asked.items() if pattern is not None}
    remote = any(_is_address(each) for part in found.values() for each in part)
    if stream is False and remote:
        raise DataError(f"{full} is at an address, which can only be read as a stream. Leave stream=false out.")
    streamed = remote if stream is None else stream
    sample = TarSample.among(_first_kinds(full, found["train"][0], streamed), full, image, label, transform)
    if streamed:
        # The order of a stream is drawn from torch's generator.
        loaders, said, counted = _streams(found, sample, batch_size, workers)
    else:
        loaders, said, counted = _placed(found, sample, batch_size, seed, workers)
    return Data(
        name=full,
        **loaders,
        classes=counted if classes is None else classes,
        note=f"images in shards {shards}, labels '{label or sample.label}', {size}x{size}, no augmentation: {said}",
        normalisation=normalisation,
    )


def _placed(
    found: dict[str, list[str]], sample: TarSample, batch_size: int, seed: int, workers: int | None
) -> tuple[dict[str, Any], str, int | None]:
    parts = {part: TarShards([Path(each) for each in shards], sample) for part, shards in found.items()}
    workers = reading_workers(len(parts["train"]), workers)
    loaders = part_loaders(parts, batch_size=batch_size, seed=seed, workers=workers)
    said = ", ".join(f"{part} {len(samples)}" for part, samples in parts.items())
    return loaders, said, parts["train"].classes


def _streams(
    found: dict[str, list[str]], sample: TarSample, batch_size: int, workers: int | None
) -> tuple[dict[str, Any], str, int | None]:
    loaders: dict[str, Any] = {}
    for part, shards in found.items():
        samples = ShardStream(shards, sample, buffer=_BUFFER if part == "train" else 0)
        # A worker without a shard would yield nothing.
        loaders[part] = DataLoader(samples, batch_size=batch_size, num_workers=min(workers or 0, len(shards)))
    return loaders, "a stream, shuffled 1,000 samples at a time", None


def _found(full: str, pattern: str) -> list[str]:
    braceexpand = optional("braceexpand", extra="data", wanted_by=full)
    try:
        names = list(braceexpand.braceexpand(pattern))
    except ValueError as error:
        raise DataError(f"{full}: braces must be closed, as in name-{{0000..0003}}.tar. Found '{pattern}'.") from error
    return [each for name in names for each in ([name] if _is_address(name) else _local(full, name))]


def _local(full: str, name: str) -> list[str]:
    scheme, colon, _ = name.partition(":")
    if colon and scheme.isalnum() and len(scheme) > 1:
        raise DataError(
            f"{full} reads files and http(s):// addresses. Found '{scheme}:', which may run a command. Copy the shards "
            "here, or make the loader in a factory: path.py:factory."
        )
    path = Path(name).expanduser().absolute()
    found = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
    missing = [each for each in found if not each.is_file()]
    if missing or not found:
        raise DataError(
            f"{full} needs shards. There is none at {(missing or [path])[0]}. Check the path and the braces."
        )
    return [str(each) for each in found]


def _first_kinds(full: str, shard: str, streamed: bool) -> list[str]:
    if not streamed:
        return list(next(iter(indexed(full, Path(shard)).values())))
    first = next(itertools.islice(raw_samples(full, [shard], 0), 1), None)
    if first is None:
        raise DataError(f"{full} needs samples in every shard. Found none in {shard}. Take it away, or write it anew.")
    return list(first[1])


def _is_address(name: str) -> bool:
    return name.startswith(("http://", "https://"))
