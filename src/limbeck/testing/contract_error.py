"""What a failed check raises."""

from __future__ import annotations


class ContractError(AssertionError):
    """A component does not keep a promise of its family.

    Attributes:
        check: name of the check that found it.
    """

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check
        self.message = message

    def __reduce__(self) -> tuple[type[ContractError], tuple[str, str]]:
        """Both parts, so that the error crosses from a worker process."""
        return type(self), (self.check, self.message)
