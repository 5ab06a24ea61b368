"""Reads what a model computes at named sites, in one forward, without changing the model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from limbeck.batch import call, tensors, unwrap
from limbeck.capture.address import Address
from limbeck.errors import SiteError
from limbeck.features import Features
from limbeck.links import FeatureSpec


class Captured(NamedTuple):
    """What one forward of a model gave.

    Attributes:
        output: exactly what the model returned.
        features: the canonical feature of each site that was given as a spec.
        raw: the tensor of each site as the model made it; gradients of losses are measured here.
    """

    output: Any
    features: Features
    raw: dict[str, Tensor]


class Capture:
    """Reads named sites of a model during its forward.

    Hooks are objects: the model can still be copied, pickled, checkpointed and compiled. They do nothing outside of a
    call and are gone after :meth:`close`. Where the model overwrites a tensor in place, it overwrites a copy.

    Args:
        model: any module; it is read, never changed.
        sites: specs, or bare names of sites (then only ``raw`` is filled). See
            :class:`~limbeck.capture.address.Address` for the grammar of names.

    Raises:
        SiteError: if the model has no such module, or a site does not fire in a forward.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> with Capture(model, ["0", "2:input"]) as capture:
        ...     captured = capture(torch.zeros(3, 4))
        >>> {site: tuple(tensor.shape) for site, tensor in captured.raw.items()}
        {'0': (3, 8), '2:input': (3, 8)}
    """

    def __init__(self, model: nn.Module, sites: Sequence[FeatureSpec | str]) -> None:
        self.model = model
        self.specs = {each.site: each for each in sites if isinstance(each, FeatureSpec)}
        self.sites = tuple(dict.fromkeys(each if isinstance(each, str) else each.site for each in sites))
        self._recorder = _Recorder()
        self._handles = []
        by_module: dict[tuple[str, bool], list[str]] = {}
        for site in self.sites:
            address = Address.parse(site)
            by_module.setdefault((address.module, address.reads_input), []).append(site)
        for (_, reads_input), group in by_module.items():
            module = Address.parse(group[0]).find(model)
            tap = _Tap(group, self._recorder)
            if reads_input:
                self._handles.append(module.register_forward_pre_hook(tap.before, with_kwargs=True))
            else:
                self._handles.append(module.register_forward_hook(tap.after))

    def __call__(self, inputs: Any, mask: Bool[Tensor, "B N"] | None = None) -> Captured:
        """Run the model on the inputs of a batch and read its sites."""
        recorder = self._recorder
        recorder.start(careful=(unwrap(self.model).training not in recorder.checked_modes))
        try:
            output = call(self.model, inputs)
            raw = recorder.finish(training=unwrap(self.model).training)
        finally:
            recorder.stop()
        missing = [site for site in self.sites if site not in raw]
        if missing:
            raise SiteError(
                f"Site '{missing[0]}' gave no tensor in this forward of {type(unwrap(self.model)).__name__}. "
                "Choose a module that runs (`limbeck inspect MODEL` lists them); if the model was compiled and called "
                "before, build the Capture first, then compile."
            )
        raw = {site: raw[site] for site in self.sites}
        features = {site: spec.canonical(raw[site], mask) for site, spec in self.specs.items()}
        return Captured(output, features, raw)

    def close(self) -> None:
        """Take every hook off the model."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Recorder:
    """What the taps of one Capture share: whether they act, what they saw, what must be protected."""

    def __init__(self) -> None:
        self.active = False
        self.careful = True
        self.seen: dict[str, Tensor] = {}
        self.watched: dict[str, _Watched] = {}
        self.calls: dict[int, int] = {}
        self.overwritten: set[str] = set()
        self.aliased: set[str] = set()
        self.checked_modes: set[bool] = set()

    def start(self, *, careful: bool) -> None:
        self.active, self.careful = True, careful

    def finish(self, *, training: bool) -> dict[str, Tensor]:
        # An in-place operation moves the version counter of its tensor. The first forward in each mode protects every
        # site and learns from the counters which sites need it from then on.
        if self.watched.keys() == self.seen.keys():
            for site, each in self.watched.items():
                if each.handed_on._version != each.handed_on_then:
                    self.overwritten.add(site)
                if each.tensor._version != each.then:
                    self.aliased.add(site)
                    self.seen[site] = each.copy
            self.checked_modes.add(training)
        return dict(self.seen)

    def stop(self) -> None:
        self.active = False
        self.seen.clear()
        self.watched.clear()
        self.calls.clear()

    def see(self, site: str, tensor: Tensor) -> Tensor:
        """Keep a tensor; returns what the model goes on with.

        Where the model overwrites the tensor, it goes on with a copy and overwrites that: the kept one stays as it was
        made, and stays on the way from the inputs to the output, so that gradients can be measured at it. If the model
        holds the same tensor under another name and overwrites it there, only a copy can be kept.
        """
        if site in self.aliased:
            self.seen[site] = tensor.clone()
            return tensor
        self.seen[site] = tensor
        if not self.careful and site not in self.overwritten:
            return tensor
        handed_on = tensor.clone()
        # Inside of a compiled graph and of inference mode there are no version counters: every site stays protected.
        if self.careful and not torch.compiler.is_compiling() and not tensor.is_inference():
            self.watched[site] = _Watched(tensor, tensor._version, handed_on, handed_on._version, tensor.clone())
        return handed_on


class _Watched(NamedTuple):
    """A tensor whose overwriting is to be noticed, the copy that the model goes on with, and a third for the worst."""

    tensor: Tensor
    then: int
    handed_on: Tensor
    handed_on_then: int
    copy: Tensor


class _Tap:
    """The hook on one module; serves every site that reads it."""

    def __init__(self, sites: Sequence[str], recorder: _Recorder) -> None:
        self.sites = [(site, Address.parse(site)) for site in sites]
        self.recorder = recorder

    def after(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        return self._read(output) if self.recorder.active else None

    def before(self, _module: nn.Module, args: Any, kwargs: Any) -> Any:
        if not self.recorder.active:
            return None
        changed = self._read((args, kwargs))
        return changed if changed is None else (changed[0], changed[1])

    def _read(self, value: Any) -> Any:
        """Keep the tensors that are asked for; returns the value with what the model goes on with, or ``None``."""
        count = self.recorder.calls.get(id(self), 0)
        self.recorder.calls[id(self)] = count + 1
        found = tensors(value)
        changed = False
        for site, address in self.sites:
            if address.call in {None, count} and address.item < len(found):
                handed_on = self.recorder.see(site, found[address.item])
                changed = changed or handed_on is not found[address.item]
                found[address.item] = handed_on
        return _with_tensors(value, iter(found)) if changed else None


def _with_tensors(value: Any, replacements: Iterator[Tensor]) -> Any:
    """A nested value with its tensors replaced, in the order of :func:`limbeck.batch.tensors`."""
    if isinstance(value, Tensor):
        return next(replacements)
    if type(value) is dict:
        return {name: _with_tensors(each, replacements) for name, each in value.items()}
    if isinstance(value, Mapping):
        replaced = copy.copy(value)
        for name, each in value.items():
            cast(dict[Any, Any], replaced)[name] = _with_tensors(each, replacements)
        return replaced
    if isinstance(value, tuple | list):
        items = [_with_tensors(each, replacements) for each in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value
