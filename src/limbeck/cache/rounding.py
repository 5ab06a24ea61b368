"""By how much rounding alone moves answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from limbeck._math.answers import answer_rows
from limbeck.batch import ReadOutput, read_logits
from limbeck.teachers.committee import CommitteeAnswer

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@torch.no_grad()
def rounding_of(output: Any, read_output: ReadOutput, precision: str) -> float:
    """How far apart two roundings of the same logits may be, which in half precision grows with their size.

    Probabilities do not show it: they stay the same where every logit is larger by a number.

    Args:
        output: what the teacher returned; of a committee the largest counts, as the logits are its members'.
        read_output: takes the logits from it.
        precision: that the teacher runs in.

    Returns:
        The spacing of numbers in this precision, times the mean size of each answer's largest logit; 0 in full
        precision.

    Example:
        >>> rounding_of(torch.tensor([[16.0, 2.0], [-16.0, -32.0]]), lambda output: output, "bf16")
        0.125
    """
    if precision not in _TYPES:
        return 0.0
    whole = isinstance(output, CommitteeAnswer)
    found = [read_logits(each) for each in output.members] if whole else [read_output(output)]
    largest = [float(answer_rows(each).amax(1).float().abs().mean()) for each in found if isinstance(each, Tensor)]
    return torch.finfo(_TYPES[precision]).eps * max(largest, default=0.0)
