"""Makes the loaders of the data that a name stands for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from limbeck.errors import DataError, nearest
from limbeck.sources.data import Data
from limbeck.sources.digits_data import digits
from limbeck.sources.factory_data import factory_data
from limbeck.sources.hf_dataset import hf_dataset
from limbeck.sources.image_folder import image_folder
from limbeck.sources.mnist1d_data import mnist1d
from limbeck.sources.web_dataset import web_dataset

_BUILT_IN: dict[str, Callable[..., Data]] = {"digits": digits, "mnist1d": mnist1d}
_FILES: dict[str, Callable[..., Data]] = {
    "imagefolder": image_folder,
    "hf-dataset": hf_dataset,
    "webdataset": web_dataset,
}
_KINDS = (
    "digits, mnist1d, imagefolder:PATH, hf-dataset:PATH or hf-dataset:NAME, webdataset:SHARDS, package.module:factory, "
    "path.py:factory"
)


def load_data(
    name: str, *, batch_size: int | None = None, seed: int = 0, options: Mapping[str, Any] | None = None
) -> Data:
    """Make the loaders of the data that a name stands for.

    With the same arguments the batches are the same, in the same order; only a stream's order is drawn from torch's
    generator.

    Warning:
        Naming a factory (``package.module:factory``, ``path.py:factory``) runs its code. Nothing else read here can.

    Args:
        name: ``digits``, ``mnist1d``, ``imagefolder:PATH``, ``hf-dataset:PATH`` or ``hf-dataset:NAME``,
            ``webdataset:SHARDS``, ``package.module:factory`` or ``path.py:factory``.
        batch_size: samples in a batch; each kind of data has a default of its own.
        seed: of the order of the training batches, not of the split.
        options: further keyword arguments: ``train`` (how many samples to keep) and ``split`` of ``digits``, ``train``
            of ``mnist1d``, ``size``, ``mean``, ``std`` and ``workers`` of images from files and what else
            :func:`~limbeck.sources.hf_dataset.hf_dataset` and :func:`~limbeck.sources.web_dataset.web_dataset` take, or
            the factory's own.

    Raises:
        DataError: if the name or an option is not known (the nearest three are named), an option has a value of another
            type, or the data cannot be read.
        LimbeckError: if a package is not installed; names the extra that installs it.

    Example:
        >>> data = load_data("digits", options={"train": 200})
        >>> data.note
        'handwritten digits of scikit-learn, 8x8: 200 to train, 180 to validate, 360 to test, stratified, split 0'
    """
    given = dict(options or {})
    kind, _, rest = name.partition(":")
    function = _BUILT_IN.get(name, _FILES.get(kind))
    if function is not None:
        given = _checked_options(name, function, given)
        if batch_size is not None:
            given["batch_size"] = batch_size
        return function(seed=seed, **given) if name in _BUILT_IN else function(rest, seed=seed, **given)
    if ":" not in name:
        raise DataError(
            f"'{name}' is no data that limbeck knows. {nearest(name, [*_BUILT_IN, *_FILES])} Write one of {_KINDS}."
        )
    return factory_data(name, batch_size=batch_size, seed=seed, options=given)


def _checked_options(name: str, function: Callable[..., Data], options: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    known = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.name != "seed"]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise DataError(f"{name} has no option '{unknown[0]}'. {nearest(unknown[0], known)}")
    types = get_type_hints(function)
    return {option: _of_type(name, option, value, types[option]) for option, value in options.items()}


def _of_type(name: str, option: str, value: Any, wanted: Any) -> Any:
    try:
        return TypeAdapter(wanted).validate_python(value)
    except ValidationError as error:
        said = getattr(wanted, "__name__", str(wanted)) if isinstance(wanted, type) else str(wanted)
        raise DataError(
            f"{name} needs an option '{option}' of type {said.replace('collections.abc.', '')}. Found {value!r}. Write "
            f"another value (--data-option {option}=...)."
        ) from error
