"""Rows of a history as the flat numbers that experiment trackers take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_GROUPS = {"terms": "term", "weights": "weight"}


def scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a row, those of terms and weights as ``term/NAME`` and ``weight/NAME``.

    Names keep letters, digits and ``_-. :/`` only, as trackers refuse others.

    Example:
        >>> scalars({"loss": 2.0, "terms": {"fc1 <- layer4": 0.5}})
        {'loss': 2.0, 'term/fc1 from layer4': 0.5}
    """
    found: dict[str, float] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            group = _GROUPS.get(key, key)
            found |= {f"{group}/{_plain(name)}": float(number) for name, number in value.items()}
        else:
            found[key] = float(value)
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^\w\-. :/]", "_", name.replace(" <- ", " from "))
