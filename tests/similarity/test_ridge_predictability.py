import numpy as np
import pytest
import torch

from limbeck.features import Feature
from limbeck.similarity import RidgePredictability


def measured(students: list[torch.Tensor], teachers: list[torch.Tensor], **options) -> torch.Tensor:
    similarity = RidgePredictability(**options)
    sides = ({str(i): Feature(x.unsqueeze(1)) for i, x in enumerate(side)} for side in (students, teachers))
    similarity.update(*sides)
    return similarity.compute()


def by_hand(x: np.ndarray, y: np.ndarray, ridge: float, folds: int) -> float:
    missed = whole = 0.0
    for part in range(folds):
        held = np.arange(len(x)) % folds == part
        fitted, truth = x[~held] - x[~held].mean(0), y[~held] - y[~held].mean(0)
        scale = np.sqrt((fitted**2).mean())
        weight = np.linalg.solve(
            (fitted / scale).T @ (fitted / scale) + ridge * len(fitted) * np.eye(x.shape[1]), (fitted / scale).T @ truth
        )
        left = y[held] - y[~held].mean(0)
        missed += ((left - (x[held] - x[~held].mean(0)) / scale @ weight) ** 2).sum()
        whole += (left**2).sum()
    return 1 - missed / whole


@pytest.mark.parametrize("widths", [(2, 3), (9, 70)], ids=["few channels", "more channels than samples"])
def test_value_is_that_of_the_formula_for_few_sites_and_for_many(widths):
    students = [torch.randn(41, 5) * 3 + 2, torch.randn(41, 60)]
    teachers = [students[0] @ torch.randn(5, width) + 0.5 * torch.randn(41, width) for width in widths]
    found = measured(students, teachers, ridge=0.05, folds=4)
    for i, x in enumerate(students):
        for j, y in enumerate(teachers):
            expected = by_hand(x.double().numpy(), y.double().numpy(), 0.05, 4)  # the docstring's formula
            assert found[i, j].item() == pytest.approx(expected, rel=1e-5)


def test_students_are_taken_in_groups_without_a_difference(monkeypatch):
    students, teachers = ([torch.randn(30, 8) for _ in range(count)] for count in (5, 6))
    whole = measured(students, teachers)
    monkeypatch.setattr("limbeck.similarity.ridge_predictability._NUMBERS", 2 * 30 * 30)
    assert torch.equal(measured(students, teachers), whole)


def test_constant_teacher_is_not_predicted():
    found = measured([torch.randn(40, 3)], [torch.full((40, 50), 0.1), torch.randn(40, 50)])
    assert found[0, 0] == 0


def test_a_ridge_below_rounding_predicts_with_equal_channels_too():
    x = torch.randn(40, 3)
    found = measured([torch.cat([x, x], 1)], [x @ torch.randn(3, 2)], ridge=1e-30)
    assert found.item() == pytest.approx(1.0)
