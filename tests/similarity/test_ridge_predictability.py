import numpy as np
import pytest
import torch

from limbeck.errors import DataError, RecipeError
from limbeck.features import Feature
from limbeck.similarity import RidgePredictability


def measured(student: torch.Tensor, teacher: torch.Tensor, **options) -> float:
    similarity = RidgePredictability(**options)
    for s, t in zip(student.split(7), teacher.split(7), strict=True):
        similarity.update({"s": Feature(s)}, {"t": Feature(t)})
    return similarity.compute().item()


@pytest.mark.parametrize("width", [3, 60])
def test_value_is_that_of_a_ridge_regression_in_numpy(width):
    student = torch.randn(40, 2, width)
    teacher = student @ torch.randn(width, 4) + torch.randn(40, 2, 4)
    x, y = (each.mean(1).double().cpu().numpy() for each in (student, teacher))
    missed, whole = 0.0, 0.0
    for fold in range(4):
        held = np.arange(40) % 4 == fold
        mean_x, mean_y = x[~held].mean(0), y[~held].mean(0)
        centred = x[~held] - mean_x
        scale = np.sqrt((centred**2).mean())
        n = len(centred)
        system = (centred / scale).T @ (centred / scale) + 0.1 * n * np.eye(width)
        weight = np.linalg.solve(system, (centred / scale).T @ (y[~held] - mean_y))
        missed += ((y[held] - mean_y - (x[held] - mean_x) / scale @ weight) ** 2).sum()
        whole += ((y[held] - mean_y) ** 2).sum()
    expected = 1 - missed / whole  # the formula of the docstring, one system for either width
    assert measured(student, teacher, ridge=0.1, folds=4) == pytest.approx(expected, abs=1e-4)


def test_it_has_a_direction():
    wide = torch.randn(200, 1, 8)
    narrow = wide[..., :2]
    assert measured(wide, narrow) > 0.95  # two of eight channels are there to be read
    assert measured(narrow, wide) < 0.5  # six of eight are not


def test_wide_student_of_noise_predicts_nothing():
    # Fitted and judged on the same 100 samples, 300 channels of noise would predict everything.
    assert measured(torch.randn(100, 1, 300), torch.randn(100, 1, 3)) < 0.1


def test_scale_of_the_student_does_not_matter():
    student = torch.randn(50, 1, 4)
    teacher = student @ torch.randn(4, 3) + torch.randn(50, 1, 3)
    assert measured(1e4 * student, teacher) == pytest.approx(measured(student, teacher), abs=1e-4)


def test_too_few_samples_are_refused_with_both_numbers():
    with pytest.raises(DataError, match=r"at least 10 samples for 5 folds\. Found 9"):
        measured(torch.randn(9, 1, 2), torch.randn(9, 1, 2))


@pytest.mark.parametrize("options", [{"ridge": 0.0}, {"folds": 1}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(RecipeError, match=str(next(iter(options.values())))):
        RidgePredictability(**options)
