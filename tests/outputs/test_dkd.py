import math

import numpy as np
import pytest
import torch

from limbeck.errors import DataError, RecipeError, ShapeMismatch
from limbeck.outputs import DKD, SoftLabels
from tests.outputs.distributions import judged, kl, softmax


def test_value_by_hand():
    # The teacher says (1/2, 3/8, 1/8), the student (1/3, 1/3, 1/3); the label is the first.
    teacher = torch.tensor([[0.5, 0.375, 0.125]]).log()
    target = 0.5 * math.log(0.5 / (1 / 3)) + 0.5 * math.log(0.5 / (2 / 3))
    others = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    found = judged(DKD(alpha=2.0, beta=3.0, temperature=1.0), [[0.0, 0.0, 0.0]], teacher, torch.tensor([0]))
    assert found == pytest.approx(2 * target + 3 * others, rel=1e-5)


def test_value_by_loops():
    student, teacher, labels = torch.randn(6, 5), torch.randn(6, 5), torch.randint(0, 5, (6,))
    values = []
    for p, q, y in zip(softmax(teacher, 4.0), softmax(student, 4.0), labels.tolist(), strict=True):
        p_rest, q_rest = np.delete(p, y), np.delete(q, y)
        target = kl(np.array([p[y], 1 - p[y]]), np.array([q[y], 1 - q[y]]))
        values.append(target + 8 * kl(p_rest / p_rest.sum(), q_rest / q_rest.sum()))
    assert judged(DKD(), student, teacher, labels) == pytest.approx(16 * np.mean(values), rel=1e-5)


def test_weight_of_the_other_classes_by_their_probability_is_soft_labels():
    student, teacher, label = torch.randn(1, 5), torch.randn(1, 5), torch.tensor([3])
    rest = 1 - softmax(teacher, 4.0)[0, 3]
    expected = judged(SoftLabels(), student, teacher)  # as the paper derives
    assert judged(DKD(beta=rest), student, teacher, label) == pytest.approx(expected, rel=1e-5)


def test_pixels_have_their_classes_in_the_second_axis():
    student, teacher, labels = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4), torch.randint(0, 5, (2, 3, 4))
    rows = [each.movedim(1, -1).reshape(-1, 5) for each in (student, teacher)]
    assert judged(DKD(), student, teacher, labels) == pytest.approx(judged(DKD(), *rows, labels.flatten()), rel=1e-5)


def test_labels_that_are_no_class_numbers_are_refused():
    logits = torch.randn(3, 5)
    with pytest.raises(DataError, match=r"torch.float32.*SoftLabels"):
        judged(DKD(), logits, logits, torch.rand(3, 5))
    with pytest.raises(ShapeMismatch, match=r"\(2,\) for 3 answers in 5 classes"):
        judged(DKD(), logits, logits, torch.tensor([1, 2]))
    with pytest.raises(ShapeMismatch, match="at least 2 classes.*BinarySoftLabels"):
        judged(DKD(), logits[:, :1], logits[:, :1], torch.tensor([0, 0, 0]))


@pytest.mark.parametrize("option", ["alpha", "beta", "temperature"])
def test_negative_options_are_refused(option):
    with pytest.raises(RecipeError, match=r"-1\.0"):
        DKD(**{option: -1.0})
