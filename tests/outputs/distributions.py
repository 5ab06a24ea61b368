"""Softmax and divergences in numpy, for expected values."""

import numpy as np
import torch

from limbeck.context import Context
from limbeck.outputs import OutputLoss


def softmax(logits: torch.Tensor, temperature: float = 1.0) -> np.ndarray:
    powers = np.exp(logits.cpu().numpy().astype(np.float64) / temperature)
    return powers / powers.sum(-1, keepdims=True)


def kl(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * np.log(first / second)).sum(-1)


def judged(loss: OutputLoss, student, teacher, targets=None) -> float:
    return loss(Context(targets, student_output=torch.as_tensor(student), teacher_output=teacher)).item()
