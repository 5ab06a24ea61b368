"""Reads what a model computes at named sites, in one forward, without changing the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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
    call and are gone after :meth:`close`. A tensor that the model later overwrites in place is copied before that.

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
    """What the taps of one Capture share: whether they act, what they saw, which tensors need care."""

    def __init__(self) -> None:
        self.active = False
        self.careful = True
        self.seen: dict[str, Tensor] = {}
        self.copies: dict[str, tuple[Tensor, int]] = {}
        self.calls: dict[int, int] = {}
        self.overwritten: set[str] = set()
        self.checked_modes: set[bool] = set()

    def start(self, *, careful: bool) -> None:
        self.active, self.careful = True, careful

    def finish(self, *, training: bool) -> dict[str, Tensor]:
        # An in-place operation on a captured tensor moves its version counter. The first forward in each mode keeps
        # copies of everything and learns from the counters which sites need care from then on.
        if self.careful and self.copies.keys() == self.seen.keys():
            moved = {site for site, (_, then) in self.copies.items() if self.seen[site]._version != then}
            self.overwritten |= moved
            self.checked_modes.add(training)
            return {site: self.copies[site][0] if site in moved else tensor for site, tensor in self.seen.items()}
        return dict(self.seen)

    def stop(self) -> None:
        self.active = False
        self.seen.clear()
        self.copies.clear()
        self.calls.clear()

    def needs_care(self, site: str) -> bool:
        # In compiled code there are no version counters to learn from: there every site needs it.
        return site in self.overwritten or (self.careful and torch.compiler.is_compiling())

    def see(self, site: str, tensor: Tensor) -> None:
        self.seen[site] = tensor
        if self.careful and not torch.compiler.is_compiling():
            self.copies[site] = (tensor.clone(), tensor._version)


class _Tap:
    """The hook on one module; serves every site that reads it."""

    def __init__(self, sites: Sequence[str], recorder: _Recorder) -> None:
        self.sites = [(site, Address.parse(site)) for site in sites]
        self.recorder = recorder

    def after(self, _module: nn.Module, _args: Any, output: Any) -> Tensor | None:
        if not self.recorder.active:
            return None
        self._read(output)
        # What follows overwrites this tensor: it gets a copy to do that to. The tensor itself stays as it was, and
        # gradients of everything that follows still pass through it.
        if isinstance(output, Tensor) and any(self.recorder.needs_care(site) for site, _ in self.sites):
            return output.clone()
        return None

    def before(self, _module: nn.Module, args: Any, kwargs: Any) -> None:
        if self.recorder.active:
            self._read((*args, *kwargs.values()), copy=True)

    def _read(self, value: Any, *, copy: bool = False) -> None:
        recorder = self.recorder
        count = recorder.calls.get(id(self), 0)
        recorder.calls[id(self)] = count + 1
        found = tensors(value)
        copy = copy or not isinstance(value, Tensor)
        for site, address in self.sites:
            if address.call in {None, count} and address.item < len(found):
                tensor = found[address.item]
                recorder.see(site, tensor.clone() if copy and recorder.needs_care(site) else tensor)
