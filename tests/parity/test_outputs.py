"""The same logits give the number that torchdistill gives; where formulas differ, by what they do."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torchdistill.losses import mid_level

from limbeck.context import Context
from limbeck.outputs import DIST, CrossEntropy, LogitMSE, OutputLoss, SoftLabels, StandardisedLogits

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "parity.md"
PLACE = ("logits", "output", "logits", "output")


def ours(loss: OutputLoss, student: torch.Tensor, teacher: torch.Tensor | None = None, targets=None) -> float:
    return loss(Context(targets, student_output=student, teacher_output=teacher)).item()


def theirs(loss: nn.Module, student: torch.Tensor, teacher: torch.Tensor | None = None, targets=None) -> float:
    return loss({"logits": {"output": student}}, {"logits": {"output": teacher}}, targets).item()


def wrapped(loss: nn.Module, target: dict) -> nn.Module:
    student = {"is_from_teacher": False, "module_path": "logits", "io": "output"}
    return mid_level.SimpleLossWrapper(loss, input=student, target=target)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(6, 7), 2 * torch.randn(6, 7) + 1


def cross_entropy():
    (student, _), labels = pair(), torch.randint(0, 7, (6,))
    loss = wrapped(nn.CrossEntropyLoss(label_smoothing=0.1), {"uses_label": True})
    return ours(CrossEntropy(label_smoothing=0.1), student, targets=labels), theirs(loss, student, targets=labels)


def dist():
    loss = mid_level.DISTLoss(*PLACE, beta=2.0, gamma=0.5, tau=4.0)
    given = pair()
    return ours(DIST(beta=2.0, gamma=0.5, temperature=4.0), *given), theirs(loss, *given)


def logit_mse():
    loss = wrapped(nn.MSELoss(), {"is_from_teacher": True, "module_path": "logits", "io": "output"})
    given = pair()
    return ours(LogitMSE(), *given), theirs(loss, *given)


def soft_labels():
    given = pair()
    return ours(SoftLabels(temperature=4.0), *given), 16 * theirs(
        mid_level.KDLoss(*PLACE, temperature=4.0, alpha=0.0), *given
    )


def standardised_logits():
    given = pair()
    loss = mid_level.LogitStdKDLoss(*PLACE, temperature=2.0, alpha=0.0)
    return ours(StandardisedLogits(), *given), 4 * theirs(loss, *given)


CASES = {
    "CrossEntropy": cross_entropy,
    "DIST": dist,
    "LogitMSE": logit_mse,
    "SoftLabels": soft_labels,
    "StandardisedLogits": standardised_logits,
}


@pytest.mark.parametrize("name", CASES)
def test_value_is_that_of_torchdistill_up_to_what_the_table_names(name):
    found, expected = CASES[name]()
    assert found == pytest.approx(expected, rel=1e-5)


def test_table_lists_every_output_loss_that_is_compared_and_no_other():
    section = TABLE.read_text().split("## Output losses")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(CASES)
