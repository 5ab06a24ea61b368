"""One forward of a model, written down: which module ran when, on what, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count
from torch.utils.hooks import RemovableHandle

from limbeck.batch import call, tensors

Key = tuple[Any, int]
"""A tensor's place in the autograd graph: the node that made it and which of the node's outputs it is."""


class Seen(NamedTuple):
    """A tensor that went into or came out of a module.

    Attributes:
        shape: its shape.
        key: its place in the graph; ``None`` if it does not depend on the inputs by a differentiable path.
        tensor: the tensor itself; ``None`` in a trace that keeps shapes only.
    """

    shape: tuple[int, ...]
    key: Key | None
    tensor: Tensor | None


@dataclass(eq=False)
class Call:
    """One run of one module.

    Attributes:
        name: dotted name of the module, empty for the model itself.
        count: how often the module had run before in this forward.
        module: the module.
        parent: the call that it happened in.
        entered: moment at which it began, on a clock that ticks at every beginning and end.
        left: moment at which it ended.
        inputs: tensors that went in.
        outputs: tensors that came out; the place in this list is the ``[item]`` of a site name.
        macs_before: multiply-adds done by the whole model when it began.
        macs_after: the same when it ended.
        children: calls that happened in it, in order.
    """

    name: str
    count: int
    module: nn.Module
    parent: Call | None
    entered: int
    inputs: list[Seen]
    macs_before: int
    left: int = -1
    outputs: list[Seen] = field(default_factory=list)
    macs_after: int = 0
    children: list[Call] = field(default_factory=list)

    @property
    def macs(self) -> int:
        """Multiply-adds done in it."""
        return self.macs_after - self.macs_before

    def within(self) -> list[Call]:
        """All calls that happened in it, in order of their beginning, itself left out."""
        found: list[Call] = []
        waiting = list(reversed(self.children))
        while waiting:
            child = waiting.pop()
            found.append(child)
            waiting.extend(reversed(child.children))
        return found


@dataclass
class Trace:
    """What :func:`record` wrote down.

    Attributes:
        calls: every call, in order of its end.
        answer: what the model returned; ``None`` after an error.
        macs: multiply-adds of the whole forward.
        error: what the model raised, if it did; the calls until then are there.
        runs: how often each module ran.
    """

    calls: list[Call] = field(default_factory=list)
    answer: Any = None
    macs: int = 0
    error: Exception | None = None
    runs: dict[str, int] = field(default_factory=dict)

    def find(self, name: str, count: int | None = None) -> Call | None:
        """The call of a module; its last one if ``count`` is ``None``."""
        for each in reversed(self.calls):
            if each.name == name and count in {None, each.count}:
                return each
        return None

    def times(self, name: str) -> int:
        """How often a module ran."""
        return self.runs.get(name, 0)


def record(model: nn.Module, inputs: Any, *, entries: frozenset[str] = frozenset(), shapes_only: bool = False) -> Trace:
    """Run a model once on inputs that require grad and write down every call of every module.

    Args:
        model: in evaluation mode, parameters frozen (see :func:`~limbeck.capture.untouched.untouched`): then the graph
            holds nothing but the way from the inputs to the output.
        inputs: as :func:`limbeck.batch.call` takes them; tensors of floats are made to require grad, masks are not.
        entries: modules at which integers become floats; what they return is made to require grad.
        shapes_only: keep no tensors and no graph.
    """
    scribe = _Scribe(shapes_only=shapes_only)
    handles = _listen(model, scribe, entries)
    try:
        with torch.enable_grad(), nullcontext() if shapes_only else scribe.counter:
            scribe.trace.answer = call(model, requiring_grad(inputs))
    except Exception as error:
        scribe.trace.error = error
    finally:
        for handle in handles:
            handle.remove()
    scribe.trace.macs = scribe.counter.macs
    return scribe.trace


def requiring_grad(inputs: Any, key: str = "") -> Any:
    """The inputs, their floats as copies that require grad; an additive mask stays as it is."""
    if isinstance(inputs, Tensor):
        if not inputs.is_floating_point() or "mask" in key:
            return inputs
        # A model may overwrite its input in place, which autograd refuses on a leaf.
        return inputs.detach().clone().requires_grad_().clone()
    if isinstance(inputs, Mapping):
        return {name: requiring_grad(each, name) for name, each in inputs.items()}
    if isinstance(inputs, tuple | list):
        return tuple(requiring_grad(each) for each in inputs)
    return inputs


def _listen(model: nn.Module, scribe: _Scribe, entries: frozenset[str]) -> list[RemovableHandle]:
    handles: list[RemovableHandle] = []
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue  # takes no hooks: it is a single step of the module around it
        ear = _Ear(name, scribe)
        if name in entries:
            handles.append(module.register_forward_hook(_start_of_graph))
        handles.append(module.register_forward_pre_hook(ear.before, with_kwargs=True))
        handles.append(module.register_forward_hook(ear.after))
    return handles


def _start_of_graph(_module: nn.Module, _args: Any, output: Any) -> Any:
    if any(each.requires_grad for each in tensors(output)) or not isinstance(output, Tensor | tuple):
        return None
    return requiring_grad(output)


# What torch does not list: kernels that only a CPU has.
_MORE_MACS: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_: (
        sdpa_flop_count(q.shape, k.shape, v.shape) // 2
    ),
    torch.ops.aten.mkldnn_rnn_layer: lambda x, w, u, *_: x.shape[0] * x.shape[1] * (w.numel() + u.numel()),
}


class _MacCounter(TorchDispatchMode):
    """Counts multiply-adds of matrix products, convolutions and attention as they are executed."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        packet = getattr(func, "_overloadpacket", None)
        if packet in flop_registry:
            self.macs += flop_registry[packet](*args, **(kwargs or {}), out_val=output) // 2
        elif packet in _MORE_MACS:
            self.macs += _MORE_MACS[packet](*args)
        return output


class _Scribe:
    """What the ears of one trace share."""

    def __init__(self, *, shapes_only: bool) -> None:
        self.shapes_only = shapes_only
        self.trace = Trace()
        self.counter = _MacCounter()
        self.open: list[Call] = []
        self.clock = 0

    def look(self, values: Any) -> list[Seen]:
        if self.shapes_only:
            return [Seen(tuple(each.shape), None, None) for each in tensors(values)]
        return [Seen(tuple(each.shape), _key(each), each) for each in tensors(values)]

    def tick(self) -> int:
        self.clock += 1
        return self.clock


class _Ear:
    """The two hooks on one module."""

    def __init__(self, name: str, scribe: _Scribe) -> None:
        self.name, self.scribe = name, scribe

    def before(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        scribe = self.scribe
        parent = scribe.open[-1] if scribe.open else None
        count = scribe.trace.runs.get(self.name, 0)
        scribe.trace.runs[self.name] = count + 1
        seen = scribe.look((*args, *kwargs.values()))
        began = Call(self.name, count, module, parent, scribe.tick(), seen, scribe.counter.macs)
        if parent is not None:
            parent.children.append(began)
        scribe.open.append(began)

    def after(self, _module: nn.Module, _args: Any, output: Any) -> None:
        scribe = self.scribe
        ended = scribe.open.pop()
        ended.left = scribe.tick()
        ended.outputs = scribe.look(output)
        ended.macs_after = scribe.counter.macs
        scribe.trace.calls.append(ended)


def _key(tensor: Tensor) -> Key | None:
    return None if tensor.grad_fn is None else (tensor.grad_fn, tensor.output_nr)
