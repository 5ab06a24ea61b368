"""Which samples of a batch resemble each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import zeroed
from limbeck.features import Feature


def flattened(feature: Feature) -> Float[Tensor, "B D"]:
    """Positions and channels of each sample as one vector, with zeros at positions that are not valid."""
    return zeroed(feature.x, feature.mask).flatten(1)


def unit_gram(x: Float[Tensor, "B D"]) -> Float[Tensor, "B B"]:
    """Inner product of every sample with every other, each row scaled to length 1.

    Example:
        >>> unit_gram(torch.tensor([[3.0, 0.0], [0.0, 2.0]]))
        tensor([[1., 0.],
                [0., 1.]])
    """
    return F.normalize(x @ x.T, dim=1)


def centred(x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """Every column less its mean over the batch."""
    return x - x.mean(0, keepdim=True)


def u_centred(gram: Float[Tensor, "B B"]) -> Float[Tensor, "B B"]:
    r"""A Gram matrix whose diagonal is zero and whose rows and columns sum to zero, centred without bias.

    From "Partial Distance Correlation with Methods for Dissimilarities" (Székely & Rizzo 2014),
    https://arxiv.org/abs/1310.2926, eq. 2.4, applied to the matrix with its diagonal set to zero. The inner product of
    two such matrices over $n (n - 3)$ is the unbiased HSIC$_1$ of "Feature Selection via Dependence Maximization"
    (Song et al. 2012).

    Example:
        >>> gram = u_centred(torch.arange(16.0).reshape(4, 4) + torch.arange(16.0).reshape(4, 4).T)
        >>> bool(gram.sum(0).abs().max() < 1e-5)
        True
    """
    n = len(gram)
    diagonal = torch.eye(n, dtype=torch.bool, device=gram.device)
    off = gram.masked_fill(diagonal, 0.0)
    rows = off.sum(1, keepdim=True) / (n - 2)
    columns = off.sum(0, keepdim=True) / (n - 2)
    whole = off.sum() / ((n - 1) * (n - 2))
    return (off - rows - columns + whole).masked_fill(diagonal, 0.0)


def u_centred_rows(x: Float[Tensor, "B D"], rows: slice) -> Float[Tensor, "M B"]:
    """These rows of ``u_centred(x @ x.T)``, in float64 on the CPU, without the rest of the matrix.

    Example:
        >>> x = torch.randn(6, 2)
        >>> torch.allclose(u_centred_rows(x, slice(2, 4)).float(), u_centred(x @ x.T)[2:4], atol=1e-5)
        True
    """
    n = len(x)
    # Sums of rows without their diagonal: the columns' too, as the matrix is symmetric.
    sums = (x @ x.sum(0) - x.square().sum(1)).cpu().double()
    centre = sums.unsqueeze(0) / (n - 2) - sums.sum() / ((n - 1) * (n - 2))
    found = (x[rows] @ x.T).cpu().double().sub_(centre).sub_(sums[rows].unsqueeze(1) / (n - 2))
    found.diagonal(rows.start).zero_()
    return found


def unbiased_hsic(student: Float[Tensor, "B B"], teacher: Float[Tensor, "B B"]) -> Float[Tensor, ""]:
    """Dependence of two matrices from :func:`u_centred`; expected value 0 where there is none."""
    n = len(student)
    return (student * teacher).sum() / (n * (n - 3))


def distances(x: Float[Tensor, "B D"]) -> Float[Tensor, "B B"]:
    """Euclidean distance of every sample to every other; two equal samples are 1e-6 apart, so that a gradient exists.

    Example:
        >>> distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        tensor([[0., 5.],
                [5., 0.]])
    """
    # Distances do not change when the mean is taken off, and are rounded less.
    x = centred(x)
    gram = x @ x.T
    square = gram.diagonal()
    apart = (square.unsqueeze(1) + square.unsqueeze(0) - 2 * gram).clamp_min(1e-12).sqrt()
    return apart.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), 0.0)


def unit_frobenius(x: Float[Tensor, "M C"], *, eps: float) -> Float[Tensor, "M C"]:
    """A matrix of length 1 over all its values; one shorter than ``eps`` is divided by that.

    Example:
        >>> unit_frobenius(torch.tensor([[3.0], [4.0]]), eps=1e-6).flatten()
        tensor([0.6000, 0.8000])
    """
    return x / torch.linalg.vector_norm(x).clamp_min(eps)
