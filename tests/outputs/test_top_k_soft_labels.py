import math

import numpy as np
import pytest
import torch

from limbeck.context import Context
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.outputs import SoftLabels, TopKSoftLabels
from limbeck.testing import check_output
from tests.outputs.distributions import judged, kl, softmax


def test_value_by_hand():
    # The teacher keeps 1/2 for its first class, the student says 1/4 there; the rest is 1/2 and 3/4.
    student, teacher = torch.tensor([[0.25, 0.7, 0.05]]).log(), torch.tensor([[0.5, 0.2, 0.3]]).log()
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert judged(TopKSoftLabels(k=1), student, teacher) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_value_by_loops(temperature):
    student, teacher = torch.randn(2, 3, 9), torch.randn(2, 3, 9)
    values = []
    for s, t in zip(student.flatten(0, 1), teacher.flatten(0, 1), strict=True):
        p, q = softmax(t, temperature), softmax(s, temperature)
        top = np.argsort(-p)[:4]
        values.append(kl(np.append(p[top], 1 - p[top].sum()), np.append(q[top], 1 - q[top].sum())))
    found = judged(TopKSoftLabels(k=4, temperature=temperature), student, teacher)
    assert found == pytest.approx(temperature**2 * np.mean(values), rel=1e-4)


@pytest.mark.parametrize("shape", [(6, 9), (2, 3, 9), (2, 9, 3, 4)])
def test_answers_from_a_cache_are_those_of_all_logits(shape):
    student, teacher = torch.randn(shape), torch.randn(shape)
    loss = TopKSoftLabels(k=3, temperature=2.0, piece=20)
    kept = loss.keep(teacher)
    assert kept.indices.shape[-1] == 3
    assert judged(loss, student, kept) == pytest.approx(judged(loss, student, teacher), rel=1e-5)


def test_cache_may_be_rounded_and_its_class_numbers_of_any_integers():
    student, teacher = torch.randn(6, 9), torch.randn(6, 9)
    loss = TopKSoftLabels(k=3)
    kept = loss.keep(teacher)
    rounded = kept._replace(log_probabilities=kept.log_probabilities.half())
    assert judged(loss, student, rounded) == pytest.approx(judged(loss, student, kept), rel=2e-2)


def test_all_classes_are_soft_labels():
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    expected = judged(SoftLabels(temperature=2.0), student, teacher)
    assert judged(TopKSoftLabels(k=5, temperature=2.0), student, teacher) == pytest.approx(expected, rel=1e-5)
    assert judged(TopKSoftLabels(k=50, temperature=2.0), student, teacher) == pytest.approx(expected, rel=1e-5)


def test_contract_is_kept_with_a_rest_and_in_pieces():
    check_output(TopKSoftLabels(k=3))
    check_output(TopKSoftLabels(k=3, piece=16))


def test_teacher_whose_rest_is_rounded_away_stays_finite():
    student = torch.zeros(1, 5, requires_grad=True)
    teacher = torch.tensor([[80.0, 40.0, 0.0, 0.0, 0.0]])
    value = TopKSoftLabels(k=2)(Context(student_output=student, teacher_output=teacher))
    value.backward()
    assert value.item() == pytest.approx(math.log(5), rel=1e-5)
    assert torch.isfinite(student.grad).all()


def test_cache_of_other_samples_is_refused():
    loss = TopKSoftLabels(k=2)
    with pytest.raises(ShapeMismatch, match=r"answers \(4,\) among 5. Found answers \(3,\) among 5"):
        judged(loss, torch.randn(4, 5), loss.keep(torch.randn(3, 5)))


@pytest.mark.parametrize("option", [{"k": 0}, {"temperature": 0.0}, {"piece": 0}])
def test_options_that_are_not_positive_are_refused(option):
    with pytest.raises(RecipeError, match="above 0"):
        TopKSoftLabels(**option)
