"""What a cache was computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_WORDS = {
    "teacher": "the teacher's class",
    "weights": "the teacher's weights (hash)",
    "precision": "the precision that the teacher runs in",
    "encoding": "the encoding",
}
_DATA_WORDS = {
    "content": "the {} data or their transform (hash of some samples)",
    "samples": "the number of {} samples",
    "views": "the number of views of {} samples",
    "seed": "the seed of the views of {} samples",
}


@dataclass(frozen=True)
class DataOrigin:
    """One data set of a cache.

    Attributes:
        content: hash of some samples.
        samples: how many there are.
        views: how many augmented views of each.
        seed: of the views.
    """

    content: str
    samples: int
    views: int = 1
    seed: int = 0

    @property
    def rows(self) -> int:
        """One for each view of each sample."""
        return self.samples * self.views


@dataclass(frozen=True)
class Origin:
    """What the content of a cache was computed from; a cache is used only where all of it is the same.

    Attributes:
        teacher: class of the model.
        weights: hash of its weights.
        data: the data sets by what they are for, ``training`` and perhaps ``validation``; a cache may know more of
            them, and new ones are added to it.
        encoding: how features are written down.
        precision: that the teacher runs in: ``no``, ``bf16`` or ``fp16``.

    Example:
        >>> first = Origin("Net", "a1", {"training": DataOrigin("d1", 100)}, "float16")
        >>> second = Origin("Net", "a1", {"training": DataOrigin("d1", 100, views=4)}, "float16")
        >>> second.differences(first.plain())
        ['the number of views of training samples was 1. Found 4']
    """

    teacher: str
    weights: str
    data: Mapping[str, DataOrigin]
    encoding: str
    precision: str = "no"

    def plain(self) -> dict[str, Any]:
        """As it stands in a header."""
        return asdict(self)

    def differences(self, known: Mapping[str, Any]) -> list[str]:
        """What a header says otherwise, in words; data that either does not know are no difference."""
        found = [_difference(word, known.get(key), getattr(self, key)) for key, word in _WORDS.items()]
        for name, mine in self.data.items():
            if name in known["data"]:
                facts = asdict(mine)
                found += [
                    _difference(word.format(name), known["data"][name].get(key), facts[key])
                    for key, word in _DATA_WORDS.items()
                ]
        return [each for each in found if each is not None]


def _difference(word: str, was: Any, now: Any) -> str | None:
    return None if was == now else f"{word} was {was}. Found {now}"
