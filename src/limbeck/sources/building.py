"""Says in limbeck's words why a library could not build a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from limbeck.errors import ModelError
from limbeck.sources.hub import brief, hub_error


@contextmanager
def building(full: str, options: Mapping[str, Any], *, fetches: bool) -> Iterator[None]:
    """While entered, what a library raises becomes an error with what to do.

    Args:
        full: the model's name, its library in front.
        options: what the user gave the builder.
        fetches: whether published weights are asked for, so that the network may be at fault.

    Raises:
        ModelError: for everything raised inside.

    Example:
        >>> with building("timm:resnet18", {"colour": "red"}, fetches=False):  # doctest: +ELLIPSIS
        ...     raise TypeError("unexpected keyword 'colour'")
        Traceback (most recent call last):
        ...
        limbeck.errors.ModelError: timm:resnet18 does not take the options {'colour': 'red'} (TypeError: ...). ...
    """
    try:
        yield
    except (TypeError, KeyError) as error:
        raise ModelError(f"{full} does not take the options {dict(options)} ({brief(error)}). Correct them.") from error
    except Exception as error:
        if fetches:
            raise hub_error(full, error) from error
        raise ModelError(f"{full} could not be built ({brief(error)}). Correct the name or the options.") from error
