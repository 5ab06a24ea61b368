"""Which of the many cut points are ends of blocks: the level of a network at which its designer repeated himself."""

from __future__ import annotations

import itertools
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
        self._lengths: dict[int, int] = {}

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
        for layer, following in itertools.zip_longest(weighted, weighted[1:]):
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
        """Whether the blocks inside a call are taken instead of it."""
        blocks = self.listed(call)
        work = call.macs or self.holds(call)
        done = sum(each.macs if call.macs else self.holds(each) for each in blocks)
        if not blocks or done < _COVERED * work:
            return False
        # An attention and a perceptron kept in a list are halves of a block, unless their owners are stages, which
        # differ in shape.
        return len({type(each.module) for each in blocks}) == 1 or not self._repeats(call)

    def _repeats(self, call: Call) -> bool:
        """Whether the calls beside a call are of its class and return its shape."""
        beside = [] if call.parent is None else [e for e in call.parent.children if type(e.module) is type(call.module)]
        return len(beside) > 1 and len({each.outputs[0].shape for each in beside if each.outputs}) == 1

    def _list_of(self, call: Call) -> str | None:
        """Name of the list of modules that a call's module is an element of."""
        if not call.name:
            return None
        parent = call.name.rpartition(".")[0]
        listed = isinstance(self._modules.get(parent), _CONTAINERS)
        return parent if listed or (call.parent is not None and self._is_series(call.parent)) else None

    def _is_series(self, call: Call) -> bool:
        """Whether a module of any class is a list in effect.

        One block is a series only if a module of the same class beside it holds several.
        """
        if self._series(call) != 1:
            return self._series(call) > 1
        beside = [] if call.parent is None else call.parent.children
        return any(self._series(each) > 1 for each in beside if type(each.module) is type(call.module))

    def _series(self, call: Call) -> int:
        """How many blocks of one class a module of any class holds; 0 if it holds anything else with weights."""
        if call.left not in self._lengths:
            inside = [each for each in call.children if self.holds(each)]
            kinds = {type(each.module) for each in inside}
            own = bool(call.name) and len(kinds) == 1 and not _is_plain(inside[0].module)
            self._lengths[call.left] = len(inside) if own and all(map(self.is_block, inside)) else 0
        return self._lengths[call.left]

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
    key = last.outputs[0].key
    same = [last] if key is None else [each for each in run if each.outputs[0].key == key]
    around = [each for each in same if _is_inside(layer, [each]) and each is not layer]
    return max(around, key=lambda each: each.left) if around else min(same, key=lambda each: each.left)
