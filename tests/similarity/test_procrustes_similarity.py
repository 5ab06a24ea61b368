import numpy as np
import pytest
import torch

from limbeck.errors import DataError, RecipeError
from limbeck.features import Feature
from limbeck.similarity import Procrustes


def measured(student: torch.Tensor, teacher: torch.Tensor, **options) -> float:
    similarity = Procrustes(**options)
    similarity.update({"s": Feature(student.unsqueeze(1))}, {"t": Feature(teacher.unsqueeze(1))})
    return similarity.compute().item()


def nuclear(student: torch.Tensor, teacher: torch.Tensor) -> float:
    """One less half of the distance of Ding et al. 2021, on all samples at once."""
    x, y = (each.double().cpu().numpy() for each in (student, teacher))
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(x.T @ y / np.linalg.norm(x) / np.linalg.norm(y), "nuc")


def test_value_is_that_of_numpy_on_held_out_folds():
    student = torch.randn(30, 4)
    teacher = student @ torch.randn(4, 6) + torch.randn(30, 6)
    x, y = (each.double().cpu().numpy() for each in (student, teacher))
    fold, agreed, mine, theirs = np.arange(30) % 3, 0.0, 0.0, 0.0
    for part in range(3):
        seen, held = fold != part, fold == part
        a, b = x[held] - x[seen].mean(0), y[held] - y[seen].mean(0)
        u, _, v = np.linalg.svd((x[seen] - x[seen].mean(0)).T @ (y[seen] - y[seen].mean(0)), full_matrices=False)
        agreed, mine, theirs = agreed + np.trace(u @ v @ b.T @ a), mine + (a**2).sum(), theirs + (b**2).sum()
    assert measured(student, teacher, folds=3) == pytest.approx(agreed / np.sqrt(mine * theirs), abs=1e-5)


def test_sites_with_more_channels_than_axes_are_compared_along_their_principal_ones():
    student = torch.randn(200, 12) * 2.0 ** -torch.arange(12)
    teacher = torch.cat([student[:, :5] + 0.1 * torch.randn(200, 5), 0.01 * torch.randn(200, 60)], 1)
    reduced = []
    for each in (student, teacher):
        x = each.double().cpu().numpy()
        x = x - x.mean(0)
        reduced.append(torch.from_numpy(x @ np.linalg.svd(x, full_matrices=False)[2][:4].T).to(student))
    assert measured(student, teacher, axes=4) == pytest.approx(measured(*reduced, axes=4), abs=1e-5)
    assert measured(student, teacher, axes=4) != pytest.approx(measured(student, teacher, axes=12), abs=1e-4)


def test_a_wide_site_equals_its_rotation():
    student = torch.randn(300, 150)
    turn, _ = torch.linalg.qr(torch.randn(150, 150))
    assert measured(student, student @ turn) == pytest.approx(1.0, abs=1e-3)


def test_with_many_samples_it_is_one_less_half_of_the_published_distance():
    student = torch.randn(4000, 5)
    teacher = student @ torch.randn(5, 5) + torch.randn(4000, 5)
    assert measured(student, teacher) == pytest.approx(nuclear(student, teacher), abs=0.01)


def test_width_alone_does_not_make_sites_alike():
    student, teacher = torch.randn(200, 60), torch.randn(200, 60)
    assert nuclear(student, teacher) > 0.4  # the trap
    assert abs(measured(student, teacher)) < 0.05


def test_rotation_scale_and_shift_do_not_matter():
    student = torch.randn(60, 5)
    turn, _ = torch.linalg.qr(torch.randn(5, 5))
    assert measured(student, 1e4 * student @ turn + 7) == pytest.approx(1.0, abs=1e-3)


def test_more_channels_than_samples_are_no_trouble():
    student = torch.randn(40, 3)
    turn, _ = torch.linalg.qr(torch.randn(200, 3))
    assert measured(student @ turn.T, student) == pytest.approx(1.0, abs=1e-3)  # three directions of two hundred


def test_too_few_samples_are_refused_with_both_numbers():
    with pytest.raises(DataError, match=r"at least 10 samples for 5 folds\. Found 9"):
        measured(torch.randn(9, 3), torch.randn(9, 3))


def test_one_fold_is_refused():
    with pytest.raises(RecipeError, match="at least 2 folds"):
        Procrustes(folds=1)


def test_no_axes_are_refused():
    with pytest.raises(RecipeError, match="1 axis"):
        Procrustes(axes=0)


def test_direction_that_the_fitted_samples_do_not_vary_in_is_not_rotated_to_fit():
    x = torch.randn(20, 2)
    x[1::2, 1] = 3.0  # the second channel varies in even samples only, which are one of the two folds
    agreed = whole = 0.0
    for held, seen in ((x[::2], x[1::2]), (x[1::2], x[::2])):
        centred = held - seen.mean(0)
        whole += centred.square().sum().item()
        agreed += (centred * (seen.std(0) > 0)).square().sum().item()
    assert measured(x, x, folds=2) == pytest.approx(agreed / whole, abs=1e-4)
