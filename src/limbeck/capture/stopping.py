"""Whether a forward may end where everything that is read of it was read."""

from __future__ import annotations

import warnings
from typing import Any

from torch import nn

from limbeck.batch import tensors, unwrap

# Our choice: it costs 3 % of the tail.
_WHOLE_EVERY = 32


class Enough(BaseException):
    """Everything was read; no error, so that a model's own ``except Exception`` lets it pass."""


class Stopping:
    """Decides which forwards of a model may end early, and gives up where that might read a site too early.

    A site without a number of its call is read at the module's last call, and which one is the last is known at the end
    only. So forwards are stopped only while such a module runs once in each; and some run to their end to look: the
    first one on inputs of a shape, as loops go by shapes, and every 32nd, as they may go by values.

    Args:
        model: whose forwards are stopped.

    Attributes:
        why_not: why no forward is stopped; ``None`` where they are.
        tail_known: whether it was looked for the place where forwards end.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.why_not: str | None = None
        self.tail_known = False
        self._shapes: set[tuple[tuple[int, ...], ...]] = set()
        self._since_whole = 0

    def may_end(self, inputs: Any) -> bool:
        """Whether the forward on these inputs, which comes next, may end early."""
        if self.why_not is not None:
            return False
        shape = tuple(tuple(each.shape[1:]) for each in tensors(inputs))
        known = shape in self._shapes
        self._shapes.add(shape)
        return known and self.tail_known and self._since_whole < _WHOLE_EVERY - 1

    def tail_was_looked_for(self, repeated: str | None, *, found: bool) -> None:
        """Take note of the first forward."""
        self.ran_whole(repeated)
        if not found:
            self.give_up("none of its modules begins behind the last site")
        self.tail_known = True

    def ended(self) -> None:
        """Take note of a forward that was stopped."""
        self._since_whole += 1

    def ran_whole(self, repeated: str | None, *, though_allowed: bool = False) -> None:
        """Take note of a forward that ran to its end.

        Args:
            repeated: a site without a number of its call that was read several times in it.
            though_allowed: whether it might have been stopped.
        """
        before = self._since_whole
        self._since_whole = 0
        if repeated is not None:
            doubt = f". It may have been read too early in the {before} forwards before" if before else ""
            self.give_up(
                f"'{repeated}' runs several times in a forward, and only the end tells which time is the last: name "
                f"the call that is meant, such as '{repeated}@0'{doubt}"
            )
        elif though_allowed:
            self.give_up("it is compiled, or another path of it led around the place where it is stopped")

    def give_up(self, why: str) -> None:
        """Let every forward run to its end from now on; this is said aloud if it was not known from the first one."""
        if self.why_not is not None:
            return
        self.why_not = why
        if self.tail_known:
            warnings.warn(f"{type(unwrap(self.model)).__name__} runs to its end from now on, as {why}.", stacklevel=2)
