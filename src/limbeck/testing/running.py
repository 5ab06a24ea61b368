"""Running checks one by one, so that a failure names the check that found it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from limbeck.testing.contract_error import ContractError

Subject = TypeVar("Subject")


class Unkept(Exception):
    """A promise that a check found unkept."""


def require(kept: object, message: str) -> None:
    """Go on if the promise is kept."""
    if not bool(kept):
        raise Unkept(message)


def run(checks: Iterable[Callable[[Subject], None]], subject: Subject) -> None:
    """Call every check with the subject.

    Raises:
        ContractError: at the first check that finds a promise unkept, or in which the subject fails.
    """
    for check in checks:
        try:
            check(subject)
        except Unkept as unkept:
            raise ContractError(check.__name__, f"{_name(subject)} {unkept}") from None
        except Exception as error:
            raise ContractError(check.__name__, f"{_name(subject)} raised {type(error).__name__}: {error}") from error


def _name(subject: object) -> str:
    return getattr(subject, "__name__", type(subject).__name__)
