"""Checks that every component passes, of whatever family."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable

import torch
from torch import Tensor, nn

from limbeck.features import Feature
from limbeck.testing.running import require
from limbeck.testing.samples import with_other_padding


def rebuilt(component: object) -> object:
    """What the component's ``repr`` gives when it is called."""
    parts = component.modules() if isinstance(component, nn.Module) else [component]
    names = {type(each).__name__: type(each) for each in parts}
    # The component's own name comes last: a projector Linear holds a module of torch's with the same name.
    return eval(repr(component), {**names, "inf": float("inf"), type(component).__name__: type(component)})


def require_same_repr(component: object) -> None:
    """The ``repr`` must be the call that rebuilds the component."""
    try:
        again = rebuilt(component)
    except Exception as error:
        require(False, f"must have a repr that rebuilds it. Found {component!r}, which raises {error!r}")
        return
    require(
        type(again) is type(component) and repr(again) == repr(component),
        f"must have a repr that rebuilds it. Found {component!r}, which gives {again!r}",
    )


def require_same_copies(module: nn.Module, value: Callable[[nn.Module], Tensor]) -> None:
    """Deep copies, pickles and a new module with the same state dict must compute what the module does."""
    before = value(module)
    copies: dict[str, nn.Module] = {
        "a deep copy": copy.deepcopy(module),
        "a pickle": pickle.loads(pickle.dumps(module)),
    }
    again = rebuilt(module)
    if isinstance(again, nn.Module):
        again.load_state_dict(module.state_dict())
        again.train(module.training)
        copies["its state dict in a new module"] = again
    for name, each in copies.items():
        require(torch.equal(value(each), before), f"must compute the same after {name}. Found a difference")


def require_padding_unread(component: Callable[[Feature], Feature], feature: Feature) -> None:
    """What the mask hides must change no position that is valid after."""
    out, changed = component(feature), component(with_other_padding(feature))
    valid = torch.ones(out.x.shape[:2], dtype=torch.bool) if out.mask is None else out.mask
    require(
        torch.allclose(out.x[valid], changed.x[valid], rtol=1e-4, atol=1e-5),
        "must not let masked positions reach valid ones. Found a difference",
    )


def require_compiles(module: nn.Module, value: Callable[[nn.Module], Tensor]) -> None:
    """The module must compile as one graph and compute what it does uncompiled."""
    before = value(module)
    torch._dynamo.reset()
    compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend="eager")
    found = value(compiled)  # pyright: ignore[reportArgumentType] - a compiled module is called as the module is
    require(
        torch.allclose(found, before, rtol=1e-4, atol=1e-6),
        f"must compute the same when compiled. Found {found} instead of {before}",
    )


def require_example(component: object) -> None:
    """The docstring must show an example."""
    text = inspect.getdoc(type(component)) or ""
    require(">>>" in text, "needs an example in its docstring. Found none. Write one that runs as a doctest")


def require_formula_and_source(component: object) -> None:
    """The docstring must give a formula, and link its source or say that it is our choice."""
    text = inspect.getdoc(type(component)) or ""
    require("$" in text, "needs a formula in its docstring. Found none. Write it between $$ and $$")
    require(
        "https://" in text or "our choice" in text.lower(),
        "needs a source in its docstring. Found none. Link the paper, or say that it is our choice",
    )
