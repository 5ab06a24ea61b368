"""Where a network is worth distilling at: ends of blocks, found by the dataflow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from limbeck.capture.blocks import Blocks
from limbeck.capture.cut_points import Dataflow
from limbeck.capture.heads import Head
from limbeck.capture.trace import Call, Key, Seen, Trace

_GAP = 0.6  # our choice: a stretch without a cut point that does more of the work than this is opened by structure


class Place(NamedTuple):
    """A site before its axes are known.

    Attributes:
        site: its name.
        call: the call that the tensor came out of, or went into.
        item: which of the call's tensors.
        reads_input: whether it is the call's input.
    """

    site: str
    call: Call
    item: int = 0
    reads_input: bool = False

    @property
    def tensors(self) -> list[Seen]:
        """All tensors that came out of the call, or went into it."""
        return self.call.inputs if self.reads_input else self.call.outputs

    @property
    def seen(self) -> Seen:
        """The tensor."""
        return self.tensors[self.item]

    @property
    def moment(self) -> int:
        """When it fires."""
        return self.call.entered if self.reads_input else self.call.left

    @property
    def macs(self) -> int:
        """Multiply-adds that are done when it fires."""
        return self.call.macs_before if self.reads_input else self.call.macs_after


class Found(NamedTuple):
    """The places of a trunk, and how they were found."""

    places: list[Place]
    method: str
    notes: list[str]


class SiteFinder:
    """Proposes the sites of one traced model.

    Args:
        model: the model.
        trace: one forward of it.
        flow: the dataflow of that forward; ``None`` if its output depends on the inputs by no differentiable path.
        head: its head.
    """

    def __init__(self, model: nn.Module, trace: Trace, flow: Dataflow | None, head: Head) -> None:
        self._model, self._trace, self._flow = model, trace, flow
        self._root = trace.calls[-1]
        self._end = self._root.left - 1 if head.call is None else head.call.entered
        self._head = head.call
        self._items: dict[int, tuple[int, ...]] = {}

    def trunk(self) -> Found:
        """The sites of the trunk, in order of execution."""
        notes: list[str] = []
        chosen: list[Call] = []
        method = "cut points of the dataflow"
        if self._flow is not None:
            chosen = self._choose(Blocks(self._model, self._is_cut, self._end))
            if any(len(self._cut_items(each)) > 1 for each in chosen):
                notes.append("Several branches run side by side: sites name each branch as an item of its block.")
        else:
            notes.append("The output depends on the inputs by no differentiable path: sites were found by structure.")
        by_structure = self._without_cut_points(chosen)
        if by_structure:
            chosen = sorted({each.left: each for each in (*chosen, *by_structure)}.values(), key=lambda each: each.left)
            method = "repeated blocks of the structure" if self._flow is None else f"{method}, and repeated blocks"
            if self._flow is not None:
                notes.append(
                    f"No cut point for {self._widest_gap(self._cut_only(chosen))[0]:.0%} of the work (branches or long "
                    f"skip connections): {len(by_structure)} sites there are blocks of one branch."
                )
        places = [place for each in chosen for place in self._places(each)]
        between = self._between_modules(chosen)
        if between:
            places = sorted((*places, *between), key=lambda each: each.moment)
            notes.append("Some blocks are added up outside of any module: their sums are read where they go in next.")
        return Found(places, method, notes)

    def last(self, trunk: Sequence[Place]) -> Place | None:
        """The penultimate representation: the head's input, or what an encoder without a head returns."""
        if self._head is not None:
            call = self._head
            count = "" if self._trace.times(call.name) == 1 else f"@{call.count}"
            return Place(f"{call.name}:input{count}", call, reads_input=True) if call.inputs else None
        after = trunk[-1].moment if trunk else -1
        later = [each for each in self._trace.calls[:-1] if each.left > after and self._is_cut(each)]
        return self._places(later[-1])[0] if later else (trunk[-1] if trunk else None)

    def _choose(self, blocks: Blocks) -> list[Call]:
        chosen = blocks.listed(self._root)
        if not self._enough(chosen):
            chosen = blocks.any_kind(self._root)
        if not self._enough(chosen):
            chosen = sorted((*chosen, *blocks.layers(self._root, chosen)), key=lambda each: each.left)
        if len(chosen) < 2:
            chosen = max(chosen, blocks.layers(self._root), key=len)
        return chosen

    def _enough(self, chosen: Sequence[Call]) -> bool:
        work = self._work()
        return len(chosen) > 1 and (work == 0 or sum(each.macs for each in chosen) >= work / 2)

    def _work(self) -> int:
        """Multiply-adds before the head."""
        return max((each.macs_after for each in self._trace.calls if each.left <= self._end), default=0)

    def _without_cut_points(self, chosen: Sequence[Call]) -> list[Call]:
        """Blocks in the widest stretch of work that has no cut point inside, if there is a wide one."""
        share, begin, end = self._widest_gap(chosen)
        if share <= _GAP:
            return []
        blocks = Blocks(self._model, self._is_live, self._end)
        structure = blocks.listed(self._root)
        if len(structure) < 2:
            structure = blocks.any_kind(self._root)
        if len(structure) < 2 and self._flow is None:
            structure = blocks.layers(self._root)
        found = [each for each in structure if each.entered >= begin and each.left < end]
        return found if len(found) > 1 else []

    def _between_modules(self, chosen: Sequence[Call]) -> list[Place]:
        """Cut points inside the widest stretch that no module returns, as inputs of the module that reads them next.

        Such is the residual stream of a network that adds up in its own forward: ``x = x + block(x)``.
        """
        share, begin, end = self._widest_gap(chosen)
        if self._flow is None or share <= _GAP:
            return []
        done = {each.left: each.macs_after for each in chosen}
        low, high = done.get(begin, 0), done.get(end, self._work())
        returned = {each.key for call in self._trace.calls for each in call.outputs}
        found: dict[Key, Place] = {}
        for call in sorted(self._trace.calls, key=lambda each: each.entered):
            key = call.inputs[0].key if call.inputs else None
            inside = begin <= call.entered < end and call.entered < self._end and low < call.macs_before < high
            if inside and key is not None and key in self._flow.cuts and key not in returned:
                count = "" if self._trace.times(call.name) == 1 else f"@{call.count}"
                found.setdefault(key, Place(f"{call.name}:input{count}", call, reads_input=True))
        return list(found.values())

    def _widest_gap(self, chosen: Sequence[Call]) -> tuple[float, int, int]:
        """Share of the work, beginning and end of the widest stretch between neighbouring sites."""
        work = self._work()
        if work == 0:
            return (0.0, 0, 0) if chosen else (1.0, 0, self._end + 1)
        stops = [(0, 0), *((each.macs_after, each.left) for each in chosen), (work, self._end + 1)]
        gaps = [((b[0] - a[0]) / work, a[1], b[1]) for a, b in itertools.pairwise(stops)]
        return max(gaps)

    def _cut_only(self, chosen: Sequence[Call]) -> list[Call]:
        return [each for each in chosen if self._is_cut(each)]

    def _is_cut(self, call: Call) -> bool:
        return bool(self._cut_items(call))

    def _is_live(self, call: Call) -> bool:
        """Whether a call ran once and the output depends on what it returned, cut point or not."""
        if not call.outputs or self._trace.times(call.name) > 1:
            return False
        return self._flow is None or any(each.key in self._flow for each in call.outputs)

    def _cut_items(self, call: Call) -> tuple[int, ...]:
        """Which of the tensors that a call returned are a cut point, alone or together."""
        if self._flow is None or not call.outputs:
            return ()
        if call.left not in self._items:
            self._items[call.left] = self._find_cut_items(call, self._flow)
        return self._items[call.left]

    def _find_cut_items(self, call: Call, flow: Dataflow) -> tuple[int, ...]:
        alone = [i for i, each in enumerate(call.outputs) if each.key in flow.cuts]
        if alone:
            # The states of a recurrent layer are the ends of its sequence: the sequence says more.
            return (0,) if isinstance(call.module, nn.RNNBase) else (alone[0],)
        several: dict[Key, int] = {}
        for i, each in enumerate(call.outputs):
            if each.key is not None and each.key in flow:
                several.setdefault(each.key, i)
        if len(several) < 2 or not flow.cut_by(set(several)):
            return ()
        return (0,) if isinstance(call.module, nn.RNNBase) else tuple(several.values())

    def _places(self, call: Call) -> list[Place]:
        items = self._cut_items(call) or (0,)
        name = self.name_of(call)
        plain = len(items) == 1 and 0 in items
        return [Place(name if plain else f"{name}[{item}]", call, item) for item in items]

    def name_of(self, call: Call) -> str:
        """The site name of a call: the module's, with the number of the call if it runs several times."""
        return call.name if self._trace.times(call.name) == 1 else f"{call.name}@{call.count}"
