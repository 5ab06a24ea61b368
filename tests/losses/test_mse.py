import pytest
import torch

from limbeck.features import Feature
from limbeck.losses import MSE
from limbeck.targets import Standardise


def test_value_by_hand():
    student, teacher = Feature(torch.tensor([[[1.0, 2.0]]])), Feature(torch.tensor([[[4.0, 0.0]]]))
    assert MSE()(student, teacher).item() == 6.5  # (3^2 + 2^2) / 2


def test_value_by_loops_over_valid_positions():
    student, teacher = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    mine, theirs = torch.rand(3, 4) > 0.3, torch.rand(3, 4) > 0.3
    errors = [
        (student[b, n, c] - teacher[b, n, c]).item() ** 2
        for b in range(3)
        for n in range(4)
        for c in range(5)
        if mine[b, n] and theirs[b, n]
    ]
    found = MSE()(Feature(student, mask=mine), Feature(teacher, mask=theirs))
    assert found.item() == pytest.approx(sum(errors) / len(errors), rel=1e-5)  # the mean, one value at a time


def test_one_means_that_nothing_is_explained_on_a_standardised_target():
    teacher = Feature(3 + 5 * torch.randn(64, 4, 6))
    target = Standardise(6)
    target.fit([teacher])
    nothing = Feature(torch.zeros(64, 4, 6))
    # Variance of a standardised channel is 1, and the best constant prediction is its mean, 0.
    assert MSE()(nothing, target(teacher)).item() == pytest.approx(1.0, rel=1e-4)


def test_value_does_not_depend_on_the_number_of_positions():
    student, teacher = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    once = MSE()(Feature(student), Feature(teacher))
    twice = MSE()(Feature(student.repeat(1, 2, 1)), Feature(teacher.repeat(1, 2, 1)))
    assert once.item() == pytest.approx(twice.item(), rel=1e-6)  # a mean over positions
