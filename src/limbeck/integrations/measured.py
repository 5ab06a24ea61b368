"""What the terms of a distiller were between two moments at which a loop logs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.distiller.distiller import DistillOutput
from limbeck.training.tracking import scalars


class Measured:
    """Means of every term and every weight since the last look; summed on the device, so that no step waits.

    Args:
        names: of the terms, as in :attr:`Distiller.names <limbeck.Distiller.names>`.

    Example:
        >>> measured = Measured(["MSE"])
        >>> for value in (1.0, 3.0):
        ...     one = torch.tensor([value])
        ...     measured.add(DistillOutput(one.sum(), one, torch.tensor([0.5]), None))
        >>> measured.take()
        {'term/MSE': 2.0, 'weight/MSE': 0.5}
        >>> measured.take()
        {}
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._sum: Float[Tensor, "2 L"] | None = None
        self._steps = 0

    def add(self, out: DistillOutput) -> None:
        """Count one forward."""
        found = torch.stack([out.terms, out.weights.to(out.terms)])
        self._sum = found if self._sum is None else self._sum + found
        self._steps += 1

    def take(self, over_processes: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """The means by name, and begin anew; nothing if nothing was counted.

        Args:
            over_processes: turns what one process measured into the mean over all; every process has to call.
        """
        if self._sum is None:
            return {}
        means = self._sum / self._steps
        terms, weights = (means if over_processes is None else over_processes(means)).tolist()
        self._sum, self._steps = None, 0
        return scalars(
            {"terms": dict(zip(self.names, terms, strict=True)), "weights": dict(zip(self.names, weights, strict=True))}
        )
