"""Rows of a history as the flat numbers that experiment trackers take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_GROUPS = {"terms": "term", "weights": "weight", "shares": "gradient_share"}


def scalars(row: Mapping[str, Any], *, metric: str = "metric") -> dict[str, float]:
    """Every number of a row, those of terms, weights and shares of the gradient each in a group of their own.

    Names keep letters, digits and ``_-. :/`` only, as trackers refuse others.

    Args:
        row: of a :class:`History <limbeck.training.history.History>`.
        metric: what ``validation`` is measured by.

    Example:
        >>> scalars({"loss": 2.0, "terms": {"fc1 <- layer4": 0.5}, "validation": 0.9}, metric="accuracy")
        {'loss': 2.0, 'term/fc1 from layer4': 0.5, 'validation/accuracy': 0.9}
    """
    found: dict[str, float] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            group = _GROUPS.get(key, key)
            found |= {f"{group}/{plain(name)}": float(number) for name, number in value.items()}
        else:
            found[f"validation/{plain(metric)}" if key == "validation" else key] = float(value)
    return found


def plain(name: str) -> str:
    """A name without the characters that trackers refuse.

    Example:
        >>> plain("fc1 <- layer4 (MSE)")
        'fc1 from layer4 _MSE_'
    """
    return re.sub(r"[^\w\-. :/]", "_", name.replace(" <- ", " from "))
