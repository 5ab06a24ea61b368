"""How the files of one sample in a shard become an image and a label."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from limbeck.errors import DataError
from limbeck.sources.extra import optional

_IMAGES = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "tif", "tiff", "gif")
_CLASS = "cls"
# WebDataset's rule: all behind the first dot of a file's name says what of the sample it is.
_NAME = re.compile(r"((?:.*/|)[^./]+)\.([^/]*)", re.DOTALL)


def key_and_kind(path: str) -> tuple[str, str] | None:
    """The ``__key__`` of the sample that a file belongs to, and what of it the file is; ``None`` for a nameless one.

    Example:
        >>> key_and_kind("photos/0017.mask.PNG"), key_and_kind("README")
        (('photos/0017', 'mask.png'), None)
    """
    found = _NAME.fullmatch(path)
    return None if found is None else (found[1], found[2].lower())


class TarSample(NamedTuple):
    """Which files of a sample are its image and its label, and how they are read.

    Attributes:
        full: the name of the data, for errors.
        image: the kind of file that holds the image, such as ``jpg``; ``None`` for any kind of image.
        label: the kind that holds the label, such as ``cls`` or ``json``; ``None`` for no labels.
        entry: the entry of a JSON file that is the label.
        transform: makes a tensor of an image of Pillow.
    """

    full: str
    image: str | None
    label: str | None
    entry: str | None
    transform: Callable[[Any], Any]

    @classmethod
    def among(
        cls, kinds: Iterable[str], full: str, image: str | None, label: str | None, transform: Callable[[Any], Any]
    ) -> TarSample:
        """As the options say; where they say nothing of a label, the class that the first sample has, or none."""
        label = label or (_CLASS if _CLASS in set(kinds) else None)
        kind, _, entry = (label or "").partition(":")
        if kind == "json" and not entry:
            raise DataError(
                f"{full} needs the entry of its JSON files that is the label. Found none. Write json:ENTRY."
            )
        return cls(full, image, kind or None, entry or None, transform)

    def image_kind(self, key: str, kinds: Iterable[str]) -> str:
        """The kind of file that is the sample's image.

        Raises:
            DataError: if there is none, or several.
        """
        kinds = list(kinds)
        found = [kind for kind in kinds if kind in ((self.image,) if self.image else _IMAGES)]
        if len(found) != 1:
            wanted = f"one .{self.image}" if self.image else "one image"
            raise DataError(
                f"{self.full} needs {wanted} in every sample. Found {len(found)} in '{key}', of {sorted(kinds)}. "
                "Name the kind of file: --data-option image=jpg."
            )
        return found[0]

    def read_label(self, key: str, files: Mapping[str, bytes]) -> int:
        """The number of the sample's class.

        Raises:
            DataError: if there is none.
        """
        text = files.get(self.label or "")
        try:
            if text is None:
                raise KeyError(f"no file .{self.label}")
            return int(text if self.entry is None else json.loads(text)[self.entry])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{self.full} needs the number of a class as the label of every sample. Found otherwise in '{key}' "
                f"({type(error).__name__}: {error}). Mend that sample, or name another: --data-option label=cls, or "
                "label=json:ENTRY."
            ) from error

    def read_image(self, key: str, content: bytes) -> Any:
        """The image as a tensor.

        Raises:
            DataError: if it cannot be decoded.
        """
        pillow = optional("PIL.Image", extra="data", wanted_by=self.full)
        try:
            with pillow.open(io.BytesIO(content)) as image:
                return self.transform(image.convert("RGB"))
        except (OSError, SyntaxError) as error:
            raise DataError(
                f"{self.full} needs images that Pillow reads. Found otherwise in '{key}' ({error}). Mend that sample."
            ) from error
