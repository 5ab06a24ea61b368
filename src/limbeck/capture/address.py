"""The grammar of site names: which module, its output or input, which call, which item."""

from __future__ import annotations

import re
from typing import NamedTuple

from torch import nn

from limbeck.batch import unwrap
from limbeck.errors import SiteError, nearest

_GRAMMAR = re.compile(r"^(?P<module>.*?)(?P<input>:input)?(?:@(?P<call>\d+))?(?:\[(?P<item>\d+)\])?$")


class Address(NamedTuple):
    """A parsed site name.

    Attributes:
        module: dotted name of the module; empty for the whole model.
        reads_input: whether the site is the module's first input instead of its output (``fc:input``).
        call: which of several calls in one forward (``layer@3``); the last one if ``None``.
        item: which tensor of a module that returns several (``stage2[1]``).

    Example:
        >>> Address.parse("encoder.layer@3[1]")
        Address(module='encoder.layer', reads_input=False, call=3, item=1)
        >>> Address.parse("fc:input").reads_input
        True
    """

    module: str
    reads_input: bool = False
    call: int | None = None
    item: int = 0

    @classmethod
    def parse(cls, site: str) -> Address:
        """Read a site name."""
        found = _GRAMMAR.match(site)
        if found is None:
            raise SiteError(
                f"'{site}' is no site name. Write 'module', 'module:input', 'module@call' or 'module[item]'."
            )
        call, item = found["call"], found["item"]
        return cls(found["module"], found["input"] is not None, None if call is None else int(call), int(item or 0))

    def find(self, model: nn.Module) -> nn.Module:
        """The module of that name in the user's own model, inside of any wrapper.

        Raises:
            SiteError: if there is none; names the nearest ones.
        """
        modules = dict(unwrap(model).named_modules(remove_duplicate=False))
        if self.module not in modules:
            raise SiteError(
                f"Model {type(unwrap(model)).__name__} has no module '{self.module}'. "
                f"{nearest(self.module, [name for name in modules if name])} "
                "`limbeck inspect MODEL` lists the sites."
            )
        return modules[self.module]
