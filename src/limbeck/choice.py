"""Something that limbeck decided, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Choice:
    """One automatic decision: what was chosen, among what, and for what reason.

    Attributes:
        name: what was decided, such as ``mapping`` or ``output loss``.
        value: what was chosen; a string, number or list, so that it can be saved.
        reason: one sentence that a reader can check.
        candidates: what else was possible, each with its number where one was measured.

    Example:
        >>> print(Choice("learning rate", 0.01, "best of 3 short runs on validation", {"0.001": 0.7, "0.01": 0.9}))
        learning rate = 0.01: best of 3 short runs on validation (0.001: 0.7, 0.01: 0.9)
    """

    name: str
    value: Any
    reason: str
    candidates: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line: name, value, reason, candidates."""
        others = ", ".join(f"{name}: {number}" for name, number in self.candidates.items())
        return f"{self.name} = {self.value}: {self.reason}" + (f" ({others})" if others else "")
