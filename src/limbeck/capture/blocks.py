"""Which of the many cut points are ends of blocks: the level of a network at which its designer repeated himself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from limbeck.capture.heads import has_matrix, is_weighted_layer
from limbeck.capture.trace import Call

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_COVERED = 0.5  # our choice: blocks that do less than half of the work are not what the network consists of


class Blocks:
    """Reads blocks off the tree of calls of one forward.

    A call counts as a *block* if what it returns is a cut point and it holds at least two layers with weights, or one
    with a way around it; with fewer it is a *layer*. A module is opened, and its insides taken instead of it, if it
    is a mere list of modules, or if lists in it hold blocks that do most of its work (a stage). Blocks of one list are
    taken as they are as soon as one of them cannot be opened.

    Args:
        model: the whole model, to look up lists of modules by name.
        is_cut: whether what a call returns may be a site.
        end: moment at which the head begins; later calls are left out.
    """

    def __init__(self, model: nn.Module, is_cut: Callable[[Call], bool], end: int) -> None:
        self._modules = dict(model.named_modules())
        self._is_cut = is_cut
        self._end = end
        self._opened: dict[int, list[Call]] = {}
        self._weights: dict[int, int] = {}

    def listed(self, call: Call) -> list[Call]:
        """The blocks inside a call that are elements of a list of modules."""
        if call.left not in self._opened:
            self._opened[call.left] = self._look_inside(call, attributes=False)
        return self._opened[call.left]

    def any_kind(self, call: Call) -> list[Call]:
        """The blocks inside a call, be they elements of a list or attributes such as ``self.block1``."""
        return self._look_inside(call, attributes=True)

    def layers(self, call: Call, apart_from: Sequence[Call] = ()) -> list[Call]:
        """The single layers inside a call, each with the normalisation and activation that follow it.

        Args:
            call: where to look.
            apart_from: blocks whose insides are left out.
        """
        inside = [each for each in call.within() if each.left <= self._end and not _is_inside(each, apart_from)]
        weighted = sorted((each for each in inside if is_weighted_layer(each)), key=lambda each: each.entered)
        ends = []
        for layer, following in zip(weighted, [*weighted[1:], None], strict=True):
            until = self._end if following is None else following.entered
            run = [each for each in inside if layer.left <= each.left < until and self._belongs(each, layer)]
            if run:
                ends.append(_outermost(run, layer))
        return list(dict.fromkeys(ends))

    def holds(self, call: Call) -> int:
        """How many layers with weights ran in a call."""
        if call.left not in self._weights:
            self._weights[call.left] = 1 if is_weighted_layer(call) else sum(map(self.holds, call.children))
        return self._weights[call.left]

    def is_block(self, call: Call) -> bool:
        """Whether a call is a block, in the sense of the class."""
        if call.left > self._end or not self._is_cut(call) or self.holds(call) == 0:
            return False
        if self.holds(call) > 1:
            return True
        layer = next((each for each in call.within() if is_weighted_layer(each)), None)
        return layer is not None and not self._is_cut(layer)

    def _look_inside(self, call: Call, *, attributes: bool) -> list[Call]:
        firm = {self._list_of(each) for each in call.children if self._is_firm(each)}
        found: list[Call] = []
        for child in call.children:
            element = self._list_of(child) is not None
            block = self.is_block(child) and not _is_plain(child.module)
            closed = block and (not self._opens(child) or (element and self._list_of(child) in firm))
            if closed and (element or attributes):
                found.append(child)
            elif not closed:
                found.extend(self._look_inside(child, attributes=attributes))
        return found

    def _is_firm(self, call: Call) -> bool:
        listed = self._list_of(call) is not None
        return listed and not _is_plain(call.module) and self.is_block(call) and not self._opens(call)

    def _opens(self, call: Call) -> bool:
        blocks = self.listed(call)
        work = call.macs or self.holds(call)
        done = sum(each.macs if call.macs else self.holds(each) for each in blocks)
        return done >= _COVERED * work and bool(blocks)

    def _list_of(self, call: Call) -> str | None:
        """Name of the list of modules that a call's module is an element of."""
        parent, dot, _ = call.name.rpartition(".")
        if not call.name or (not dot and not isinstance(self._modules[""], _CONTAINERS)):
            return None
        return parent if isinstance(self._modules.get(parent), _CONTAINERS) else None

    def _belongs(self, call: Call, layer: Call) -> bool:
        """Whether a call still speaks of the layer: same shape, no other weights, and a cut point."""
        if not self._is_cut(call) or self.holds(call) > 1 or (self.holds(call) == 1 and not _is_inside(layer, [call])):
            return False
        if not call.outputs or not layer.outputs or (has_matrix(call.module) and self.holds(call) == 0):
            return False
        return call.outputs[0].shape == layer.outputs[0].shape


def _is_plain(module: nn.Module) -> bool:
    return type(module) in _CONTAINERS


def _is_inside(call: Call, others: Sequence[Call]) -> bool:
    return any(each.entered <= call.entered and call.left <= each.left for each in others)


def _outermost(run: Sequence[Call], layer: Call) -> Call:
    """Of calls that returned the same last tensor: the widest one around the layer, else the first."""
    last = max(run, key=lambda each: each.left)
    same = [each for each in run if each.outputs[0].key == last.outputs[0].key]
    around = [each for each in same if _is_inside(layer, [each]) and each is not layer]
    return max(around, key=lambda each: each.left) if around else min(same, key=lambda each: each.left)
