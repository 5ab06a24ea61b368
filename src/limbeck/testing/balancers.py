"""Checks of balancers."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import FEATURE, OUTPUT, Balancer, TapNorms
from limbeck.testing.components import require_example, require_formula_and_source, require_same_repr
from limbeck.testing.running import require, run
from limbeck.testing.samples import normal

MakeBalancer = Callable[[Sequence[str]], Balancer]

_GROUPS = (FEATURE, FEATURE, OUTPUT, OUTPUT)


def check_balancer(make: MakeBalancer, /) -> None:
    """Check a balancer against everything that its family promises.

    Args:
        make: builds one for the given groups: the class itself, or a function that adds options.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> from limbeck.balancers import Fixed
        >>> check_balancer(lambda groups: Fixed(groups, feature=10.0, output=1.0))
    """
    run(BALANCER_CHECKS, make)


def check_total(make: MakeBalancer, /) -> None:
    """One finite total; one finite weight for each loss, outside of the graph; the total is their product."""
    balancer = _experienced(make)
    balanced = balancer(_losses().requires_grad_())
    require(balanced.total.ndim == 0 and torch.isfinite(balanced.total), f"must give one total. Found {balanced.total}")
    weights = balanced.weights
    require(weights.shape == (4,), f"must give one weight for each of 4 losses. Found {tuple(weights.shape)}")
    require(torch.isfinite(weights).all() and (weights >= 0).all(), f"must give weights of at least 0. Found {weights}")
    require(not weights.requires_grad, "must keep its weights out of the graph. Found a gradient")
    require(
        torch.allclose(balanced.total, (weights * _losses()).sum(), rtol=1e-4),
        "must report the weights that it used. Found another total",
    )


def check_gradient_reaches_every_loss(make: MakeBalancer, /) -> None:
    """Every loss gets its weight as gradient, and none is left out unless the balancer may, nor by it at first."""
    for balancer in (make(_GROUPS), _experienced(make)):
        losses = _losses().requires_grad_()
        balanced = balancer(losses)
        (gradient,) = torch.autograd.grad(balanced.total, losses)
        require(torch.equal(gradient, balanced.weights), f"must use the weights it reports. Found {gradient.tolist()}")
        if not balancer.may_leave_out:
            require((gradient > 0).all(), f"must train every loss. Found gradients {gradient.tolist()}")
    fresh = make(_GROUPS)(_losses()).weights
    require((fresh > 0).all(), f"must train every loss at first. Found weights {fresh.tolist()}")


def check_single_loss(make: MakeBalancer, /) -> None:
    """One loss alone keeps its value up to a positive factor that is finite."""
    for group in (FEATURE, OUTPUT):
        balanced = make((group,))(torch.tensor([3.0]))
        factor = balanced.total / 3
        require(
            torch.isfinite(factor) and factor > 0, f"must keep a loss that is alone. Found it times {factor.item()}"
        )


def check_term_order(make: MakeBalancer, /) -> None:
    """Permuted losses have permuted weights."""
    order = torch.tensor([2, 0, 3, 1])
    plain, permuted = make(_GROUPS), make([_GROUPS[i] for i in order])
    for step in range(3):
        losses, norms = _losses(step), _norms(step)
        plain.step(losses, norms)
        permuted.step(losses[order], TapNorms(*(each[order] for each in norms)))
    weights = plain(_losses()).weights[order]
    found = permuted(_losses()[order]).weights
    require(
        torch.allclose(weights, found, rtol=1e-4), f"must weigh losses in any order alike. Found {found}, not {weights}"
    )


def check_extreme_losses(make: MakeBalancer, /) -> None:
    """A loss, or a measurement, a million times as large or as small, or not finite, leaves the weights finite."""
    for factor in (1e6, 1e-6, 0.0, float("inf"), float("nan")):
        balancer = _experienced(make)
        losses, norms = _losses(), _norms(7)
        losses[0] *= factor
        balancer.step(losses, TapNorms(norms.feature * factor, norms.output, norms.cosine))
        balancer.step(losses, TapNorms(norms.feature, norms.output * factor, norms.cosine))
        weights = balancer(_losses()).weights
        require(torch.isfinite(weights).all(), f"must stay finite after a loss times {factor}. Found {weights}")


def check_strength(make: MakeBalancer, /) -> None:
    """A loss whose strength is 0 takes no part, even where it is infinite; strength 1 is as without."""
    balancer = _experienced(make)
    losses = _losses()
    require(
        torch.equal(balancer(losses).weights, balancer(losses, torch.ones(4)).weights),
        "must take a strength of 1 as none. Found other weights",
    )
    losses[2] = float("inf")
    balanced = balancer(losses, torch.tensor([1.0, 1.0, 0.0, 1.0]))
    require(
        balanced.weights[2] == 0 and torch.isfinite(balanced.total),
        f"must leave out a loss of strength 0. Found {balanced}",
    )


def check_forward_moves_nothing(make: MakeBalancer, /) -> None:
    """Called twice without ``step`` it gives the same."""
    balancer = _experienced(make)
    before = copy.deepcopy(balancer.state_dict())
    first, second = balancer(_losses(1)).weights, balancer(_losses(1)).weights
    require(torch.equal(first, second), f"must move in step only. Found {first}, then {second}")
    after = balancer.state_dict()
    require(all(torch.equal(_bits(before[k]), _bits(after[k])) for k in before), "must move its state in step only")


def check_reset(make: MakeBalancer, /) -> None:
    """After ``reset`` it is as new."""
    balancer, fresh = _experienced(make), make(_GROUPS)
    balancer.reset()
    found, expected = balancer(_losses()).weights, fresh(_losses()).weights
    require(torch.equal(found, expected), f"must be as new after reset. Found {found} instead of {expected}")


def check_state(make: MakeBalancer, /) -> None:
    """The state dict, copies and pickles carry all that it has learnt; it goes where the module goes."""
    balancer = _experienced(make)
    restored = make(_GROUPS)
    restored.load_state_dict(balancer.state_dict())
    others = {
        "its state dict": restored,
        "a deep copy": copy.deepcopy(balancer),
        "a pickle": pickle.loads(pickle.dumps(balancer)),
    }
    for each in (balancer, *others.values()):
        each.step(_losses(5), _norms(5))
    expected = balancer(_losses()).weights
    for name, other in others.items():
        found = other(_losses()).weights
        require(torch.equal(found, expected), f"must go on from {name}. Found {found} instead of {expected}")
    moved = copy.deepcopy(balancer).to("meta")
    stayed = [name for name, each in moved.named_buffers() if each.device.type != "meta"]
    require(not stayed, f"must move its state with the module. Found {stayed} left behind")


def check_precision(make: MakeBalancer, /) -> None:
    """Losses in float64 give a total in float64."""
    balanced = _experienced(make)(_losses().double())
    found = balanced.total.dtype, balanced.weights.dtype
    require(found == (torch.float64, torch.float64), f"must keep the losses' precision, float64. Found {found}")


def check_balancer_documented(make: MakeBalancer, /) -> None:
    """Source, formula and example stand in the docstring; the ``repr`` rebuilds it."""
    balancer = make(_GROUPS)
    require_example(balancer)
    require_formula_and_source(balancer)
    require_same_repr(balancer)


BALANCER_CHECKS: tuple[Callable[[MakeBalancer], None], ...] = (
    check_forward_moves_nothing,
    check_total,
    check_gradient_reaches_every_loss,
    check_single_loss,
    check_term_order,
    check_extreme_losses,
    check_strength,
    check_reset,
    check_state,
    check_precision,
    check_balancer_documented,
)
"""All checks of a balancer, each of which can be called with ``make``; for one test per check."""


def _losses(seed: int = 0) -> Float[Tensor, " L"]:
    return normal(4, seed=seed).abs() + 0.1


def _norms(seed: int) -> TapNorms:
    """As a distiller measures them: NaN for output terms."""
    feature = torch.tensor([True, True, False, False])
    parts = (normal(4, seed=seed).exp(), normal(4, seed=seed + 1).exp(), normal(4, seed=seed + 2).tanh())
    return TapNorms(*(torch.where(feature, each, torch.nan) for each in parts))


def _experienced(make: MakeBalancer) -> Balancer:
    balancer = make(_GROUPS)
    for step in range(4):
        balancer.step(_losses(step), _norms(step))
    return balancer


def _bits(state: Tensor) -> Tensor:
    """The state with NaN made equal to itself."""
    return state.nan_to_num() if state.is_floating_point() else state
