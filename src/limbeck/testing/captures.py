"""Checks of reading a model's sites."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from limbeck.batch import call, tensors
from limbeck.capture.capture import Capture
from limbeck.links import FeatureSpec
from limbeck.testing.running import require, run


class _Subject:
    """A model, inputs for it and the sites to read, under the model's name."""

    def __init__(self, model: nn.Module, inputs: Any, sites: Sequence[FeatureSpec | str]) -> None:
        self.model = model.eval()
        self.inputs = inputs
        self.sites = sites
        self.__name__ = type(model).__name__


def check_capture(model: nn.Module, inputs: Any, sites: Sequence[FeatureSpec | str], /) -> None:
    """Check that reading ``sites`` of ``model`` leaves the model as it is; puts it into evaluation mode.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> check_capture(model, torch.ones(3, 4), ["0", "2:input"])
    """
    run(CAPTURE_CHECKS, _Subject(model, inputs, sites))


def check_same_output(subject: _Subject, /) -> None:
    """The output is the bare model's, to the last bit, each time; the state dict too."""
    bare = tensors(call(subject.model, subject.inputs))
    before = copy.deepcopy(subject.model.state_dict())
    with Capture(subject.model, subject.sites) as capture:
        for _ in range(2):
            found = tensors(capture(subject.inputs).output)
            same = len(bare) == len(found) and all(map(torch.equal, bare, found))
            require(same, "must answer as without Capture. Found another output")
    after = subject.model.state_dict()
    kept = before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    require(kept, "must keep its state under Capture. Found another state dict")


def check_sites_present(subject: _Subject, /) -> None:
    """Every site is read, in the graph, as it was when its module ran, twice the same."""
    names = [each if isinstance(each, str) else each.site for each in subject.sites]
    with Capture(subject.model, subject.sites) as capture:
        first, second = capture(subject.inputs), capture(subject.inputs)
    require(list(first.raw) == names, f"must be read at {names}. Found {list(first.raw)}")
    specs = [each.site for each in subject.sites if isinstance(each, FeatureSpec)]
    require(list(first.features) == specs, f"must give features of {specs}. Found {list(first.features)}")
    same = all(torch.equal(first.raw[site], second.raw[site]) for site in names)
    require(same, "must be read alike twice. Found other values the second time")
    off = [site for site in names if first.raw[site].requires_grad and site not in first.taps]
    require(not off, f"must have a tap wherever there are gradients. Found none at {off}")


def check_inert(subject: _Subject, /) -> None:
    """Outside of a call nothing is kept; after ``close`` no hook is left."""
    before = _hooks(subject.model)
    capture = Capture(subject.model, subject.sites)
    capture(subject.inputs)
    call(subject.model, subject.inputs)
    held = tensors(list(vars(capture._recorder).values()))
    require(not held, f"must hold nothing between calls. Found {len(held)} tensors")
    capture.close()
    require(_hooks(subject.model) == before, f"must have {before} hooks after close. Found {_hooks(subject.model)}")


def check_model_copies(subject: _Subject, /) -> None:
    """The model can be copied and pickled while it is read."""
    with Capture(subject.model, subject.sites):
        copies = copy.deepcopy(subject.model), pickle.loads(pickle.dumps(subject.model))
    bare = tensors(call(subject.model, subject.inputs))
    for each in copies:
        found = tensors(call(each, subject.inputs))
        same = all(torch.equal(one, other) for one, other in zip(bare, found, strict=True))
        require(same, "must be copied under Capture. Found a copy that answers otherwise")


CAPTURE_CHECKS: tuple[Callable[[_Subject], None], ...] = (
    check_same_output,
    check_sites_present,
    check_inert,
    check_model_copies,
)
"""All checks of a capture; :func:`check_capture` calls them."""


def _hooks(model: nn.Module) -> int:
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in model.modules())
