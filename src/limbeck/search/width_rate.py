"""The learning rate that an untrained student asks for, from how wide its layers are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

# Beyond this a matrix is no longer noise. Of 40 untrained networks the median matrix has at most 1.01, of eight trained
# ones at least 1.10, after 400 steps already.
_NOISE = 1.05
# Weights that are by chance a little smaller than usual are not small; such as begin at almost nothing on purpose, at
# the end of a residual branch or of the network, say nothing. Small starts of whole networks are 0.2 and more.
_USUAL, _NOTHING = 0.8, 0.02
# So many matrices are looked at, by so many steps of power iteration.
_LOOKED_AT, _STEPS = 32, 20
# In smaller ones chance alone goes beyond.
_LEAST_WIDTH = 8


@torch.no_grad()
def width_rate(student: nn.Module) -> float | None:
    r"""One over the mean number of inputs of the student's layers, to two digits.

    An adaptive optimizer moves every weight by about its rate $\eta$ at each step, so what a layer of $n$ inputs gives
    moves by about $\eta n$ times their size, whatever the loss is (Yang et al., "Tensor Programs V", NeurIPS 2021,
    https://arxiv.org/abs/2203.03466, who scale the rates of hidden layers so). What it gives is of a size of about
    $\sigma \sqrt{n}$, with $\sigma$ the standard deviation of its weights: a layer that starts with smaller weights
    than PyTorch's own, $1 / \sqrt{3 n}$, is moved by more of its size, and counts as so much wider:

    $$ \eta = \Bigl( \tfrac1L \sum_{l=1}^L n_l \max \bigl( 1, \tfrac{1}{\sigma_l \sqrt{3 n_l}} \bigr) \Bigr)^{-1} $$

    That the constant is one and the mean is taken over the layers is ours; ``benchmarks/rates`` says what it costs.
    Embeddings count as no layers, and neither does what is frozen, nor weights of three axes that belong to no
    convolution (experts, positions). Inputs are taken to be of the size of one.

    Returns:
        ``None`` if no layer is trained.

    Example:
        >>> width_rate(nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 10)))
        0.019
    """
    inputs = [_wide(matrix, count) for matrix, count in _matrices(student) if matrix.requires_grad]
    return float(f"{1 / statistics.mean(inputs):.2g}") if inputs else None


@torch.no_grad()
def has_learnt(student: nn.Module) -> bool:
    r"""Whether the weights come from a training.

    Of a matrix of independent numbers the largest singular value is the edge of Marchenko and Pastur (1967),

    $$ \sigma (\sqrt m + \sqrt n), $$

    with $\sigma$ their standard deviation; what has been learnt stands out beyond it (Martin & Mahoney, "Implicit
    Self-Regularization in Deep Neural Networks", JMLR 2021, https://arxiv.org/abs/1810.01075). The median matrix
    counts, as some start in a way of their own; where all are narrower than eight, nothing can be told, and it is no.
    Frozen matrices count too: what is trained beside them builds on what they know.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> layer = nn.Linear(64, 64)
        >>> has_learnt(layer)
        False
        >>> with torch.no_grad():
        ...     _ = layer.weight.add_(0.1 * torch.ones(64, 1) @ torch.rand(1, 64))  # all have found the same direction
        >>> has_learnt(layer)
        True
    """
    wide = [matrix for matrix, _ in _matrices(student) if min(len(matrix), matrix[0].numel()) >= _LEAST_WIDTH]
    some = wide[:: math.ceil(len(wide) / _LOOKED_AT) or 1]
    found = [_beyond_noise(each.flatten(1).float()) for each in some if each.float().std() > 0]
    return bool(found) and statistics.median(found) > _NOISE


def _matrices(student: nn.Module) -> Iterator[tuple[nn.Parameter, float]]:
    """Every layer's weights and how many inputs each of its outputs has; an embedding looks one row up at a time."""
    for module in student.modules():
        if not isinstance(module, nn.Embedding | nn.EmbeddingBag):
            for each in module.parameters(recurse=False):
                if each.ndim >= 2 and len(each) > 1 and (inputs := _inputs(module, each)) > 1:
                    yield each, inputs


def _inputs(module: nn.Module, weight: Tensor) -> float:
    """How many inputs each output of a layer has; 0 of weights that are none of a known layer."""
    if isinstance(module, _ConvTransposeNd):
        return len(weight) / module.groups * math.prod(weight.shape[2:]) / math.prod(module.stride)
    if isinstance(module, _ConvNd | nn.Bilinear):
        return float(math.prod(weight.shape[1:]))
    if weight.ndim > 2:
        return 0.0
    # The layer of that name of the older language models keeps its matrix the other way round.
    return float(len(weight) if type(module).__name__ == "Conv1D" else weight.shape[1])


def _wide(matrix: Tensor, inputs: float) -> float:
    """How many inputs a layer counts for."""
    usual = (3 * inputs) ** -0.5
    size = float(matrix.float().std())
    return inputs * usual / size if _NOTHING * usual < size < _USUAL * usual else inputs


def _beyond_noise(matrix: Float[Tensor, "m n"]) -> float:
    """The largest singular value over that of noise of the same size."""
    rows, columns = matrix.shape
    # A start of its own, so that nobody's random numbers are used up.
    direction = torch.linspace(1, 2, columns, device=matrix.device).sin()
    for _ in range(_STEPS):
        direction = matrix.T @ (matrix @ direction)
        direction = direction / direction.norm()
    return float((matrix @ direction).norm() / (matrix.std() * (rows**0.5 + columns**0.5)))
