"""Where tables are printed."""

from rich.console import Console

_WIDE = 160


def table_console() -> Console:
    """The terminal as wide as it is; a file or a pipe wide enough that no cell is cut."""
    return Console(width=None if Console().is_terminal else _WIDE)
