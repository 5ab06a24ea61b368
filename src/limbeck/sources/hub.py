"""Says why published weights could not be had, and how to do without the hub."""

from __future__ import annotations

from limbeck.errors import ModelError

_UNREACHABLE = {
    "ConnectError",
    "ConnectionError",
    "ConnectTimeout",
    "LocalEntryNotFoundError",
    "OfflineModeIsEnabled",
    "ReadTimeout",
    "TimeoutError",
    "URLError",
}


def hub_error(name: str, error: Exception) -> ModelError:
    """The error for published weights of ``name`` that failed to load with ``error``.

    Example:
        >>> print(hub_error("timm:resnet18", ConnectionError("no route")))  # doctest: +ELLIPSIS
        timm:resnet18 needs its published weights, and the hub could not be reached (ConnectionError: no route). ...
    """
    verdict = "the hub could not be reached" if unreachable(error) else "they could not be loaded"
    return ModelError(
        f"{name} needs its published weights, and {verdict} ({brief(error)}). Give a file instead: weights=FILE "
        "(--weights, --teacher-weights, --student-weights), a .safetensors, .pt or .pth downloaded on a machine that "
        'reaches the hub; or weights="random" for untrained weights.'
    )


def brief(error: BaseException) -> str:
    r"""Kind and first line of an error.

    Example:
        >>> brief(ValueError("one\ntwo"))
        'ValueError: one'
    """
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def unreachable(error: BaseException | None) -> bool:
    """Whether an error of a library says that there is no network."""
    # Libraries wrap what the network said; its own class stands somewhere in the chain.
    while error is not None:
        if any(kind.__name__ in _UNREACHABLE for kind in type(error).__mro__):
            return True
        if "couldn't connect" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
