"""Methods of TorchJD that weigh gradients by their lengths and angles."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from types import ModuleType

from torch import Tensor

from limbeck.errors import LimbeckError, RecipeError, nearest

METHODS = ("AlignedMTL", "CAGrad", "DualProj", "FairGrad", "IMTLG", "MGDA", "UPGrad")
_DEFAULTS = {"CAGrad": {"c": 0.5}, "FairGrad": {"alpha": 2.0}}
_EXTRAS = {"CAGrad": "torchjd[cagrad]", "FairGrad": "torchjd[fairgrad]"}
_PROJECTING = ("DualProj", "UPGrad")
_OF_COORDINATES = "it works on single numbers of the gradients, of which only lengths and angle are measured"
_OF_NO_CONFLICT = "it does not look at the gradients' angle. Use the balancer "
_OF_TWO_BATCHES = "it compares gradients of independent batches, and a step has one"
_REFUSED = {
    "ConFIG": "for two losses its direction is that of IMTLG. Use IMTLG",
    "Constant": f"{_OF_NO_CONFLICT}Fixed",
    "CRMOGM": "it is a moving average over another method's weights",
    "ExcessMTL": _OF_COORDINATES,
    "GradDrop": _OF_COORDINATES,
    "Krum": "it picks some of at least three gradients, and there are two at a tap",
    "Mean": f"{_OF_NO_CONFLICT}Fixed",
    "MoDo": _OF_TWO_BATCHES,
    "NashMTL": "for two losses its direction is that of IMTLG. Use IMTLG",
    "PCGrad": "for two losses it is twice UPGrad. Use UPGrad",
    "Random": f"{_OF_NO_CONFLICT}RLW",
    "SDMGrad": _OF_TWO_BATCHES,
    "Sum": f"{_OF_NO_CONFLICT}Fixed",
    "TrimmedMean": _OF_COORDINATES,
}

Weighting = Callable[[Tensor], Tensor]


@cache
def weighting(method: str, settings: frozenset[tuple[str, float]] = frozenset()) -> Weighting:
    """TorchJD's map from the inner products of gradients to their weights.

    Any of its aggregators whose weights follow from these inner products alone, also those that are newer than this
    file; not those that coincide with another for two losses, or that need more than the inner products.

    Args:
        method: name of the aggregator.
        settings: its own arguments; where they are required, the default stands here.

    Raises:
        RecipeError: if there is no such method, it cannot be used (says why), or it has no such setting.
        LimbeckError: if TorchJD or its solver is not installed.

    Example:
        >>> import torch
        >>> weighting("UPGrad")(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        tensor([0.5000, 0.5000])
    """
    if method in _REFUSED:
        raise RecipeError(f"ConflictResolver cannot use {method}: {_REFUSED[method]}.")
    try:
        return _built(method, _of_inner_products(method, importlib.import_module("torchjd.aggregation")), settings)
    except ImportError as error:
        raise LimbeckError(
            f"ConflictResolver with method {method} needs TorchJD and its solver. Found: {error}. Run pip install "
            f"'{_EXTRAS.get(method, 'limbeck[conflict]')}'."
        ) from error


def _built(method: str, cls: Callable[..., Weighting], settings: frozenset[tuple[str, float]]) -> Weighting:
    options = {**_DEFAULTS.get(method, {}), **dict(settings)}
    more = {}
    if method in _PROJECTING:
        # Its own 1e-4 would drown the shorter of two gradients already where the other is 25 times as long.
        more["projector"] = importlib.import_module("torchjd.linalg").QuadprogProjector(reg_eps=1e-8)
    try:
        return cls(**options, **more)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"TorchJD's {method} does not take settings={options}. Found: {error}.") from error


def _of_inner_products(method: str, library: ModuleType) -> type:
    aggregator, cls = (getattr(library, name, None) for name in (method, f"{method}Weighting"))
    if not isinstance(aggregator, type) or not issubclass(aggregator, library.Aggregator) or cls is None:
        raise RecipeError(f"ConflictResolver has no method '{method}'. {nearest(method, METHODS)}")
    if not issubclass(aggregator, library.GramianWeightedAggregator):
        raise RecipeError(
            f"ConflictResolver knows the inner products of gradients. Found {method}, which needs the gradients "
            f"themselves. {nearest(method, METHODS)}"
        )
    if issubclass(cls, importlib.import_module("torchjd").Stateful):
        raise RecipeError(
            f"ConflictResolver cannot use {method}: it remembers earlier steps in a way that no checkpoint brings "
            f"back. {nearest(method, METHODS)}"
        )
    return cls
