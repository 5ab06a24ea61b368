"""Losses that are told the teacher's most probable classes only."""

import inspect

import numpy as np
import pytest
import torch

import limbeck.outputs
from limbeck._math.top_answers import spread_apart, top_answers
from limbeck.context import Context
from limbeck.errors import DataError, ModelError, ShapeMismatch
from limbeck.outputs import (
    DIST,
    DKD,
    ForwardKL,
    JensenShannon,
    LogitMSE,
    ReverseKL,
    SkewedForwardKL,
    SkewedReverseKL,
    SoftLabels,
    StandardisedLogits,
    TopKSoftLabels,
    TotalVariation,
    UniversalLogit,
)
from tests.outputs.distributions import judged, kl, softmax

READING = [
    SoftLabels(temperature=1.0), SoftLabels(temperature=2.0), SoftLabels(temperature=4.0), TopKSoftLabels(k=3),
    ForwardKL(), ReverseKL(), JensenShannon(), SkewedForwardKL(), SkewedReverseKL(), TotalVariation(),
]  # fmt: skip
TEMPERATURES = (1.0, 2.0, 4.0)


@pytest.mark.parametrize("loss", READING, ids=str)
@pytest.mark.parametrize("shape", [(6, 9), (2, 3, 9), (2, 9, 3, 4)])
def test_all_classes_give_what_all_logits_give(loss, shape):
    found = []
    for whole in (True, False):
        torch.manual_seed(0)
        student, teacher = torch.randn(shape).requires_grad_(), torch.randn(shape)
        answer = teacher if whole else top_answers(teacher, 9, TEMPERATURES)
        value = loss(Context(student_output=student, teacher_output=answer))
        value.backward()
        found.append((value.detach(), student.grad))
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("loss", READING, ids=str)
def test_fewer_classes_give_a_lower_bound_that_is_zero_for_an_equal_student(loss):
    student, teacher = 2 * torch.randn(20, 9), 2 * torch.randn(20, 9)
    known = top_answers(teacher, 4, TEMPERATURES)
    # What is joined can only come closer: the data processing inequality of every f-divergence.
    assert judged(loss, student, known) <= judged(loss, student, teacher) + 1e-6
    assert judged(loss, teacher, known) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_others_count_as_one_class_at_every_temperature(temperature):
    student, teacher = torch.randn(5, 8), torch.randn(5, 8)
    values = []
    for s, t in zip(student, teacher, strict=True):
        p, q = softmax(t, temperature), softmax(s, temperature)
        top = np.argsort(-p)[:3]
        values.append(kl(np.append(p[top], 1 - p[top].sum()), np.append(q[top], 1 - q[top].sum())))
    found = judged(SoftLabels(temperature=temperature), student, top_answers(teacher, 3, TEMPERATURES))
    assert found == pytest.approx(temperature**2 * np.mean(values), rel=1e-4)


def test_fewer_than_were_kept_may_be_compared_and_more_may_not():
    student, teacher = torch.randn(6, 9), torch.randn(6, 9)
    known = top_answers(teacher, 5, TEMPERATURES)
    loss = TopKSoftLabels(k=2, temperature=2.0)
    assert judged(loss, student, known) == pytest.approx(judged(loss, student, teacher), rel=1e-5)
    with pytest.raises(ShapeMismatch, match=r"7 most probable classes. Found 5 of 9. Keep more \(cache_top_k=7\)"):
        judged(TopKSoftLabels(k=7), student, known)


def test_a_temperature_that_was_not_kept_is_refused():
    with pytest.raises(DataError, match=r"temperature 3.0 .* Found it for \[1.0, 2.0, 4.0\]"):
        judged(SoftLabels(temperature=3.0), torch.randn(6, 9), top_answers(torch.randn(6, 9), 5, TEMPERATURES))


@pytest.mark.parametrize("loss", [DIST(), DKD(), LogitMSE(), UniversalLogit(), StandardisedLogits()], ids=str)
def test_a_loss_that_needs_all_logits_says_so(loss):
    assert loss.top_temperature is None
    labels, known = torch.zeros(6, dtype=torch.long), top_answers(torch.randn(6, 9), 5, TEMPERATURES)
    with pytest.raises(ModelError, match=rf"{type(loss).__name__} needs all of the teacher's logits"):
        loss(Context(targets=labels, student_output=torch.randn(6, 9), teacher_output=known))


def test_every_loss_that_can_read_them_is_tried_here():
    classes = [getattr(limbeck.outputs, name) for name in limbeck.outputs.__all__]
    made = [each() for each in classes if inspect.isclass(each) and not inspect.isabstract(each) and _is_plain(each)]
    assert {type(each) for each in made if each.top_temperature is not None} == {type(each) for each in READING}


def test_what_is_lost_is_the_divergence_from_an_even_spread():
    logits = 3 * torch.randn(4, 7)
    apart, rest = spread_apart(logits, top_answers(logits, 2, TEMPERATURES), 2.0)
    for row, found, left in zip(logits, apart, rest, strict=True):
        p = softmax(row, 2.0)
        rebuilt = p.copy()
        others = np.argsort(-p)[2:]
        rebuilt[others] = p[others].sum() / 5
        assert float(left) == pytest.approx(p[others].sum(), rel=1e-5)
        assert float(found) == pytest.approx(kl(p, rebuilt), rel=1e-4)


def test_classes_that_are_ruled_out_do_no_harm():
    teacher = torch.tensor([[2.0, 1.0, -torch.inf, -torch.inf]])
    known = top_answers(teacher, 2, TEMPERATURES)
    student = torch.randn(1, 4, requires_grad=True)
    value = SoftLabels(temperature=1.0)(Context(student_output=student, teacher_output=known))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()
    assert all(float(each) == 0 for each in spread_apart(teacher, known, 1.0)[1:])


def _is_plain(cls):
    return all(each.default is not inspect.Parameter.empty for each in inspect.signature(cls).parameters.values())
