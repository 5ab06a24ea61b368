"""Errors that say what must hold, what was found and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Names in an error message: our choice.
_MOST = 20


class LimbeckError(ValueError):
    """Base of every error that limbeck raises about its user's input; the command line turns it into exit code 2."""


class ShapeMismatch(LimbeckError):
    """Two features cannot be compared as they are."""


class LayoutError(LimbeckError):
    """The roles of a tensor's axes could not be told apart."""


class SiteError(LimbeckError):
    """A named site does not exist in the model, never fires, or yields no tensor."""


class ModelError(LimbeckError):
    """A model does not run on the batch it was given, or its output cannot be read."""


class DataError(LimbeckError):
    """A loader is empty, yields something unreadable, or yields values that are not finite."""


class TeacherError(LimbeckError):
    """The teacher has nothing to teach on this data."""


class RecipeError(LimbeckError):
    """A recipe or plan has a key or a value that is not known."""


class PlanMismatch(LimbeckError):
    """A saved plan no longer fits the models it is used with."""


class CacheError(LimbeckError):
    """A cache cannot be used or written."""


class RunError(LimbeckError):
    """A run folder cannot be written, read or resumed."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """The known names that are nearest to ``name``, as a phrase for an error message.

    Example:
        >>> nearest("MES", ["MSE", "CKA", "Cosine"])
        "Nearest: 'MSE'."
        >>> nearest("zzz", ["MSE", "CKA"])
        "Known: 'CKA', 'MSE'."
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    label, shown = ("Nearest", close) if close else ("Known", names[:_MOST])
    more = f" and {len(names) - _MOST} more" if not close and len(names) > _MOST else ""
    return f"{label}: " + ", ".join(repr(each) for each in shown) + f"{more}."
