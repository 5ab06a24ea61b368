"""Measurements at taps, as a distiller makes them: NaN for output terms."""

import torch

from limbeck.balancers.family import TapNorms

NAN = float("nan")


def norms(feature, output, cosine) -> TapNorms:
    return TapNorms(torch.tensor(feature), torch.tensor(output), torch.tensor(cosine))
