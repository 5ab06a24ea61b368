"""Strengths that never change."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.schedules.family import Schedule, Strength


@dataclass(frozen=True)
class Constant(Schedule):
    r"""Features and outputs act in full from the first step to the last: $\sigma_f = \sigma_o = 1$. Our choice.

    Example:
        >>> Constant()(0.3)
        Strength(feature=1.0, output=1.0)
    """

    def __call__(self, _progress: float, /) -> Strength:
        """Full strength at every moment."""
        return Strength()
