"""How good a trained network is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from benchmarks.quality.data import Samples, picked
from torch import Tensor, nn

_AT_ONCE = 500
_BINS = 15
_RIDGE = 1e-3


class Judged(NamedTuple):
    """Accuracy and expected calibration error, in percent; the latter not for a linear probe."""

    accuracy: float
    calibration_error: float | None


def judge(model: nn.Module, samples: Samples) -> Judged:
    """Accuracy and calibration error on some data."""
    probabilities = torch.softmax(_outputs(model, samples)[0], 1)
    right = probabilities.argmax(1) == samples.labels
    return Judged(100 * float(right.double().mean()), calibration_error(probabilities.amax(1), right))


def calibration_error(confidence: Tensor, right: Tensor) -> float:
    """Mean distance of confidence and accuracy over 15 equal bins of confidence (Guo et al. 2017), in percent."""
    bins = (confidence * _BINS).long().clamp(max=_BINS - 1)
    difference = torch.zeros(_BINS, dtype=torch.float64)
    difference.index_add_(0, bins, confidence.double() - right.double())
    return 100 * float(difference.abs().sum()) / len(confidence)


def probe_accuracy(model: nn.Module, known: Samples, judged: Samples) -> float:
    """Accuracy of a linear map from what the head reads, fitted on labelled data by ridge regression on the classes.

    Features are standardised; the ridge is a thousandth of the number of samples (our choice, the same for all).
    """
    x, unseen = _outputs(model, known)[1], _outputs(model, judged)[1]
    mean, deviation = x.mean(0), x.std(0).clamp_min(1e-6)
    x, unseen = (torch.nn.functional.pad((each - mean) / deviation, (0, 1), value=1.0) for each in (x, unseen))
    classes = int(max(known.labels.max(), judged.labels.max())) + 1
    shares = torch.nn.functional.one_hot(known.labels, classes).double()
    gram = x.T @ x + _RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    answers = unseen @ torch.linalg.solve(gram, x.T @ shares)
    return 100 * float((answers.argmax(1) == judged.labels).double().mean())


@torch.no_grad()
def _outputs(model: nn.Module, samples: Samples) -> tuple[Tensor, Tensor]:
    """Logits, and what the head reads in double precision."""
    read: list[Tensor] = []
    hook = model.get_submodule("head").register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    model.eval()
    try:
        logits = []
        for places in torch.arange(len(samples)).split(_AT_ONCE):
            inputs = picked(samples.inputs, places)
            logits.append(model(**inputs) if isinstance(inputs, dict) else model(inputs))
    finally:
        hook.remove()
    return torch.cat(logits), torch.cat(read).double()
