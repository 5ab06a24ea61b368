"""The tensors that everything a network knows passes through, read from the autograd graph of one forward."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from limbeck.capture.trace import Key


class Dataflow:
    """The graph of one forward, from the output back to the inputs.

    A tensor is a *cut point* if no path from the inputs to the output avoids it. In any topological order of the
    operations that is the same as: no edge jumps over its place. So one pass finds them all.

    Args:
        roots: the output tensors.

    Attributes:
        cuts: all cut points.

    Example:
        >>> import torch
        >>> x = torch.ones(1, requires_grad=True)
        >>> block = x.sin() + x.cos()          # two ways: neither is a cut point, their sum is
        >>> y = block.exp()
        >>> flow = Dataflow([(y.grad_fn, 0)])
        >>> sorted(type(node).__name__ for node, _ in flow.cuts)
        ['AccumulateGrad', 'AddBackward0', 'ExpBackward0']
    """

    def __init__(self, roots: Iterable[Key]) -> None:
        self.roots = tuple(roots)
        self._edges: dict[Any, list[Key]] = {}
        self._order = self._topological_order()
        self.cuts = self._cut_points()

    def __contains__(self, key: Key | None) -> bool:
        """Whether the output depends on this tensor."""
        return key is not None and key[1] in self._read.get(key[0], set())

    def edges(self, node: Any) -> list[Key]:
        """The tensors that an operation computed from."""
        return self._edges[node]

    def cut_by(self, keys: set[Key]) -> bool:
        """Whether several tensors are a cut point together: every path from the inputs runs through one of them."""
        waiting = [key for key in self.roots if key not in keys]
        reached = {node for node, _ in waiting}
        while waiting:
            edges = self._edges[waiting.pop()[0]]
            if not edges:
                return False
            for key in edges:
                if key not in keys and key[0] not in reached:
                    reached.add(key[0])
                    waiting.append(key)
        return True

    def depends(self, key: Key, source: Key) -> bool:
        """Whether one tensor was computed from another."""
        waiting, reached = [key], {key}
        while waiting:
            for each in self._edges[waiting.pop()[0]]:
                if each == source:
                    return True
                if each not in reached:
                    reached.add(each)
                    waiting.append(each)
        return False

    def _topological_order(self) -> list[Any]:
        """All operations, each before those that it computed from."""
        done: list[Any] = []
        state: dict[Any, bool] = {}
        for root, _ in self.roots:
            waiting = [(root, False)]
            while waiting:
                node, returned = waiting.pop()
                if returned:
                    done.append(node)
                    continue
                if node in state:
                    continue
                state[node] = True
                edges = [(each, number) for each, number in node.next_functions if each is not None]
                self._edges[node] = edges
                waiting.append((node, True))
                waiting.extend((each, False) for each, _ in edges if each not in state)
        return done[::-1]

    def _cut_points(self) -> frozenset[Key]:
        place = {node: i for i, node in enumerate(self._order)}
        end = len(self._order)
        self._read: dict[Any, set[int]] = {}
        for node, number in (*self.roots, *(key for edges in self._edges.values() for key in edges)):
            self._read.setdefault(node, set()).add(number)
        found = []
        farthest = max((place[node] for node, _ in self.roots), default=-1)
        for i, node in enumerate(self._order):
            # Of an operation with several outputs that are all read, none is a cut point alone.
            if farthest <= i and len(self._read[node]) == 1:
                found.append((node, next(iter(self._read[node]))))
            # The inputs end in one common sink: a second input's edge jumps over everything that knows the first only.
            farthest = max(farthest, *(place[each] for each, _ in self._edges[node]), i) if self._edges[node] else end
        return frozenset(found)
