import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.outputs import DIST
from tests.outputs.distributions import judged, softmax


def dist(p: np.ndarray, q: np.ndarray, beta: float, gamma: float) -> float:
    classes = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    samples = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)])
    return beta * classes + gamma * samples


def test_value_by_hand():
    # Two classes, two samples: every correlation is 1 or -1. The student is wrong about the second sample only.
    teacher = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    student = torch.tensor([[2.0, 0.0], [1.0, 0.0]])
    # Classes: 0 for the first sample, 2 for the second. Samples: both orders are the teacher's, so 0.
    assert judged(DIST(), student, teacher) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(("beta", "gamma", "temperature"), [(1.0, 1.0, 1.0), (2.0, 0.5, 4.0)])
def test_value_by_numpy(beta, gamma, temperature):
    student, teacher = torch.randn(8, 5), torch.randn(8, 5)
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    expected = temperature**2 * dist(p, q, beta, gamma)
    found = judged(DIST(beta=beta, gamma=gamma, temperature=temperature), student, teacher)
    assert found == pytest.approx(expected, rel=1e-4)


def test_answers_without_a_label_are_no_samples():
    student, teacher = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    labels = torch.tensor([[0, 1, -100, 3], [2, -100, -100, -100]])
    kept = labels != -100
    expected = judged(DIST(), student[kept], teacher[kept])
    assert judged(DIST(), student, teacher, labels) == pytest.approx(expected, rel=1e-5)


def test_samples_are_not_compared_where_only_one_is_labelled():
    student, teacher, labels = torch.randn(2, 5), torch.randn(2, 5), torch.tensor([1, -100])
    expected = 1 - np.corrcoef(softmax(student)[0], softmax(teacher)[0])[0, 1]
    assert judged(DIST(), student, teacher, labels) == pytest.approx(expected, rel=1e-4)


def test_single_sample_is_refused():
    with pytest.raises(ShapeMismatch, match="DIST needs at least 2 samples in a batch. Found 1"):
        judged(DIST(), torch.randn(1, 5), torch.randn(1, 5))


def test_temperature_of_zero_is_refused():
    with pytest.raises(RecipeError, match=r"temperature 0\.0"):
        DIST(temperature=0.0)
