"""Imports an optional package, or says which extra brings it."""

from __future__ import annotations

import importlib
from types import ModuleType

from limbeck.errors import LimbeckError


def optional(package: str, *, extra: str, wanted_by: str) -> ModuleType:
    """Import ``package``, which only the extra named ``extra`` installs.

    Args:
        package: dotted name of what to import.
        extra: the extra of limbeck that installs it.
        wanted_by: what the user asked for, as the error repeats it.

    Raises:
        LimbeckError: if it is not installed; names the command that installs it.

    Example:
        >>> optional("no_such_package", extra="vision", wanted_by="timm:resnet18")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        limbeck.errors.LimbeckError: timm:resnet18 needs the package no_such_package. It is not installed. ...
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        top = package.partition(".")[0]
        # A package that is there but misses one of its own needs is another fault, with another cure.
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        raise LimbeckError(
            f"{wanted_by} needs the package {top}. It is not installed. Run pip install 'limbeck[{extra}]'."
        ) from error
