"""What is said of the teacher's early stop is what it does."""

import pytest
import torch
from torch import nn

import limbeck
from tests.toys import loader


class WithTail(nn.Module):
    """A body, and a head that begins with a module or is functions only."""

    def __init__(self, width, tail):
        super().__init__()
        self.flat, self.body, self.tail = nn.Flatten(), nn.Linear(64, width), tail
        self.weight = nn.Parameter(torch.randn(4, width))
        self.answered = 0

    def forward(self, x):
        x = self.body(self.flat(x))
        x = x.relu() if self.tail is None else self.tail(x)
        self.answered += 1
        return nn.functional.linear(x, self.weight)


@pytest.mark.parametrize(("tail", "said"), [(None, "off"), (nn.ReLU(), "on")])
def test_the_note_of_the_early_stop_is_true(tail, said):
    torch.manual_seed(0)
    teacher, student = WithTail(16, tail), WithTail(4, None)
    recipe = {"mapping": {"kind": "Explicit", "pairs": [["body", "body"]]}, "outputs": [{"loss": "CrossEntropy"}]}
    options = {"steps": 40, "lr": 0.01, "progress": False, "check_teacher": False, "recipe": recipe}
    report = limbeck.distill(teacher, student, loader(), **options)
    (choice,) = [each for each in report.plan.choices if each.name == "teacher early stop"]
    assert choice.value == said
    assert (teacher.answered > 40) == (said == "off")


def test_a_cache_that_nothing_would_be_read_from_is_said_to_be_off(tmp_path):
    torch.manual_seed(0)
    options = {"steps": 4, "lr": 0.01, "progress": False, "check_teacher": False, "recipe": "labels"}
    report = limbeck.distill(WithTail(16, None), WithTail(4, None), loader(), cache=tmp_path / "cache", **options)
    (choice,) = [each for each in report.plan.choices if each.name == "teacher cache"]
    assert (choice.value, choice.reason) == ("off", "no loss reads the teacher")
    assert not (tmp_path / "cache").exists()
