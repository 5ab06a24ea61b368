"""Reads pickles of arrays without running what else may stand in them."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import numpy as np

# The module moved in numpy 2; old pickles name the old place.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"A data file may hold numpy arrays only. Found {module}.{name}. Do not use this file."
            )
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_array(path: Path) -> np.ndarray:
    """The array in a pickle packed by gzip.

    Raises:
        pickle.UnpicklingError: if there is anything but an array.
    """
    with gzip.open(path) as file:
        found = _ArraysOnly(file).load()
    if not isinstance(found, np.ndarray):
        raise pickle.UnpicklingError(f"A data file must hold an array. Found {type(found).__name__}.")
    return found
