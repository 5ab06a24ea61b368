"""Matrices of ones and minus ones whose rows are orthogonal."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def hadamard(order: int) -> Float[Tensor, "C C"] | None:
    r"""A matrix of $\pm 1$ with $H H^\top = C I$ of the given order, or ``None`` where these constructions have none.

    Orders 1 and 2; Paley's first, of order $q + 1$ for a prime $q \equiv 3 \pmod 4$; his second, of order $2 (q + 1)$
    for a prime $q \equiv 1 \pmod 4$; and the Kronecker products of all these, Sylvester's powers of 2 among them. The
    smallest multiples of 4 left out are 52, 92 and 100.

    Example:
        >>> hadamard(4)
        tensor([[ 1.,  1.,  1.,  1.],
                [ 1., -1.,  1., -1.],
                [ 1.,  1., -1., -1.],
                [ 1., -1., -1.,  1.]], dtype=torch.float64)
        >>> hadamard(6) is None
        True
    """
    if order in {1, 2}:
        return torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64, device="cpu")[:order, :order]
    if order < 4 or order % 4:
        return None
    for factor in _divisors(order):
        inner = _direct(order // factor)
        outer = None if inner is None else hadamard(factor)
        if outer is not None and inner is not None:
            return torch.kron(outer, inner)
    return _direct(order)


def _divisors(order: int) -> list[int]:
    """Divisors from the largest down, the order itself left out."""
    return [each for each in range(order // 2, 1, -1) if order % each == 0]


def _direct(order: int) -> Float[Tensor, "C C"] | None:
    """Of order 2 or by Paley's constructions."""
    if order == 2:
        return hadamard(2)
    if order % 4 == 0 and _is_prime(order - 1):
        return torch.eye(order, dtype=torch.float64, device="cpu") + _bordered(order - 1, sign=-1.0)
    half = order // 2
    if order % 4 == 0 and half % 4 == 2 and _is_prime(half - 1):
        identity = torch.eye(half, dtype=torch.float64, device="cpu")
        ones = identity.new_tensor([[1.0, 1.0], [1.0, -1.0]])
        turned = identity.new_tensor([[1.0, -1.0], [-1.0, -1.0]])
        return torch.kron(_bordered(half - 1, sign=1.0), ones) + torch.kron(identity, turned)
    return None


def _bordered(prime: int, *, sign: float) -> Float[Tensor, "Q Q"]:
    """Whether the difference of two numbers is a square modulo the prime, with a border of ones."""
    character = torch.full((prime,), -1.0, dtype=torch.float64, device="cpu")
    numbers = torch.arange(prime, device="cpu")
    character[numbers.square() % prime] = 1.0
    character[0] = 0.0
    core = character[(numbers.unsqueeze(1) - numbers.unsqueeze(0)) % prime]
    bordered = torch.zeros(prime + 1, prime + 1, dtype=torch.float64, device="cpu")
    bordered[0, 1:], bordered[1:, 0], bordered[1:, 1:] = 1.0, sign, core
    return bordered


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % each for each in range(2, int(number**0.5) + 1))
