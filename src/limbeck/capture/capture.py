"""Reads what a model computes at named sites, in one forward, without changing the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from limbeck.batch import call, tensors, unwrap
from limbeck.capture.address import Address
from limbeck.capture.stopping import Enough, Stopping
from limbeck.errors import SiteError
from limbeck.features import Features
from limbeck.links import FeatureSpec


class Captured(NamedTuple):
    """What one forward of a model gave.

    Attributes:
        output: exactly what the model returned; ``None`` if its forward was stopped behind the last site.
        features: the canonical feature of each site that was given as a spec.
        raw: a copy of each site's tensor, as it was when the site fired.
        taps: the place in the autograd graph that each site was read at, where gradients of losses are measured:
            ``torch.autograd.grad(loss, captured.taps[site])``. Sites that need no gradient have none, nor has any site
            of a compiled model, whose graph is a single node.
    """

    output: Any
    features: Features
    raw: Mapping[str, Tensor]
    taps: Mapping[str, GradientEdge] = {}


class Capture:
    """Reads named sites of a model during its forward.

    Hooks are objects: the model can still be copied, pickled, checkpointed and compiled. They do nothing outside of a
    call and are gone after :meth:`close`. They read and replace nothing: the model goes on with its own tensors, and
    may overwrite them in place, as what is kept is a copy.

    Args:
        model: any module; it is read, never changed.
        sites: specs, or bare names of sites (then only ``raw`` is filled). See
            :class:`~limbeck.capture.address.Address` for the grammar of names.
        stop: whether to end a forward where the first module begins behind the last site, so that the rest of the model
            does not run. The first forward finds that module; for which others run to their end, see
            :class:`~limbeck.capture.stopping.Stopping`.

    Raises:
        SiteError: if the model has no such module, or a site does not fire in a forward.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> with Capture(model, ["0", "2:input"]) as capture:
        ...     captured = capture(torch.zeros(3, 4))
        >>> {site: tuple(tensor.shape) for site, tensor in captured.raw.items()}
        {'0': (3, 8), '2:input': (3, 8)}
    """

    def __init__(self, model: nn.Module, sites: Sequence[FeatureSpec | str], *, stop: bool = False) -> None:
        self.model = model
        self._stopping = Stopping(model) if stop and sites else None
        self.specs = {each.site: each for each in sites if isinstance(each, FeatureSpec)}
        self.sites = tuple(dict.fromkeys(each if isinstance(each, str) else each.site for each in sites))
        self._recorder = _Recorder(len(self.sites))
        self._handles: list[RemovableHandle] = []
        by_module: dict[tuple[str, bool], dict[str, Address]] = {}
        for site in self.sites:
            address = Address.parse(site)
            by_module.setdefault((address.module, address.reads_input), {})[site] = address
        # All are found before the first is hooked: a wrong name leaves nothing on the model.
        found = [(next(iter(group.values())).find(model), group) for group in by_module.values()]
        for (module, group), (_, reads_input) in zip(found, by_module, strict=True):
            tap = _Tap(group, self._recorder)
            if reads_input:
                self._handles.append(module.register_forward_pre_hook(tap.before, with_kwargs=True))
            else:
                self._handles.append(module.register_forward_hook(tap.after))

    def __call__(self, inputs: Any, mask: Bool[Tensor, "B N"] | None = None) -> Captured:
        """Run the model on the inputs of a batch and read its sites."""
        recorder = self._recorder
        recorder.active = True
        try:
            output = call(self.model, inputs) if self._stopping is None else self._run(inputs, self._stopping)
            copies, taps = dict(recorder.copies), dict(recorder.taps)
        finally:
            recorder.clear()
        missing = [site for site in self.sites if site not in copies]
        if missing:
            raise SiteError(
                f"Site '{missing[0]}' gave no tensor in this forward of {type(unwrap(self.model)).__name__}. "
                "Choose a module that runs (`limbeck inspect MODEL` lists them); if the model was compiled and called "
                "before, build the Capture first, then compile."
            )
        raw = {site: copies[site] for site in self.sites}
        features = {site: spec.canonical(raw[site], mask) for site, spec in self.specs.items()}
        return Captured(output, features, raw, taps)

    @property
    def why_not_stopped(self) -> str | None:
        """Why forwards run to their end though they were to be stopped, as far as is known by now."""
        return None if self._stopping is None else self._stopping.why_not

    def close(self) -> None:
        """Take every hook off the model."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _run(self, inputs: Any, stopping: Stopping) -> Any:
        """What the model returns; ``None`` if its forward was stopped."""
        recorder = self._recorder
        recorder.may_end = stopping.may_end(inputs)
        if not stopping.tail_known:
            return self._run_and_find_tail(inputs, stopping)
        try:
            output = call(self.model, inputs)
        except Enough:
            stopping.ended()
            return None
        except Exception:
            if not recorder.ended:
                raise
        else:
            if not recorder.ended:
                stopping.ran_whole(recorder.repeated, though_allowed=recorder.may_end)
                return output
        stopping.give_up("it catches every exception in its forward")
        recorder.clear()
        recorder.active = True
        return call(self.model, inputs)

    def _run_and_find_tail(self, inputs: Any, stopping: Stopping) -> Any:
        """Run to the end, and hook the module that is to begin the tail."""
        recorder = self._recorder
        watched = [each.register_forward_pre_hook(recorder.begins) for each in self.model.modules()]
        try:
            output = call(self.model, inputs)
        finally:
            for handle in watched:
                handle.remove()
        stopping.tail_was_looked_for(recorder.repeated, found=recorder.tail is not None)
        if recorder.tail is not None and stopping.why_not is None:
            self._handles.append(recorder.tail.register_forward_pre_hook(recorder.end_if_enough))
        return output

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Recorder:
    """What the taps of one Capture share: whether they act, and what they saw in this forward."""

    def __init__(self, sites: int) -> None:
        self.sites = sites
        self.copies: dict[str, Tensor] = {}
        self.taps: dict[str, GradientEdge] = {}
        self.calls: dict[int, int] = {}
        self.clear()

    def clear(self) -> None:
        self.active = self.may_end = self.ended = False
        self.repeated: str | None = None
        self.tail: nn.Module | None = None
        self.copies.clear()
        self.taps.clear()
        self.calls.clear()

    @property
    def enough(self) -> bool:
        """Whether every site was read, each once."""
        return self.repeated is None and len(self.copies) == self.sites

    def begins(self, module: nn.Module, _args: Any) -> None:
        """Note the first module that begins when enough was read."""
        if self.tail is None and self.enough:
            self.tail = module

    def end_if_enough(self, _module: nn.Module, _args: Any) -> None:
        """End the forward if it may be and enough was read."""
        if self.may_end and self.enough and not torch.compiler.is_compiling():
            self.ended = True
            raise Enough

    def see(self, site: str, tensor: Tensor) -> None:
        """Keep what a tensor is now, and its place in the graph now: the model may overwrite it at any time."""
        if site in self.copies:
            self.repeated = site
        self.copies[site] = tensor.clone()
        if tensor.requires_grad and not torch.compiler.is_compiling():
            self.taps[site] = get_gradient_edge(_owner(tensor))


def _owner(tensor: Tensor) -> Tensor:
    """The tensor whose memory a view shows, if it shows all of it; else the tensor itself.

    Overwriting a view in place takes the view out of the graph, and leaves its base on the way to the output.
    """
    base = tensor._base
    return tensor if base is None or not base.requires_grad or base.numel() != tensor.numel() else base


class _Tap:
    """The hook on one module; serves every site that reads it."""

    def __init__(self, sites: Mapping[str, Address], recorder: _Recorder) -> None:
        self.sites = sites
        self.recorder = recorder

    def after(self, _module: nn.Module, _args: Any, output: Any) -> None:
        if self.recorder.active:
            self._read(output)

    def before(self, _module: nn.Module, args: Any, kwargs: Any) -> None:
        if self.recorder.active:
            self._read((args, kwargs))

    def _read(self, value: Any) -> None:
        count = self.recorder.calls.get(id(self), 0)
        self.recorder.calls[id(self)] = count + 1
        found = tensors(value)
        for site, address in self.sites.items():
            if address.call in {None, count} and address.item < len(found):
                self.recorder.see(site, found[address.item])
