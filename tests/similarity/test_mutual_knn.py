import numpy as np
import pytest
import torch

from limbeck.errors import DataError, RecipeError
from limbeck.features import Feature
from limbeck.similarity import MutualKNN


def measured(student: torch.Tensor, teacher: torch.Tensor, batch: int = 16, **options) -> float:
    similarity = MutualKNN(**options)
    for x, y in zip(student.split(batch), teacher.split(batch), strict=True):
        similarity.update({"s": Feature(x.unsqueeze(1))}, {"t": Feature(y.unsqueeze(1))})
    return similarity.compute().item()


def nearest(x: np.ndarray, k: int) -> list[set[int]]:
    found = []
    for i, row in enumerate(x):
        cosine = [-np.inf if i == j else row @ x[j] / np.linalg.norm(row) / np.linalg.norm(x[j]) for j in range(len(x))]
        found.append(set(np.argsort(cosine)[-k:].tolist()))
    return found


def test_value_is_that_of_a_loop_over_samples():
    student = torch.randn(40, 6)
    teacher = student @ torch.randn(6, 8) + torch.randn(40, 8)
    mine, theirs = (nearest(each.double().cpu().numpy(), 5) for each in (student, teacher))
    expected = np.mean([len(a & b) / 5 for a, b in zip(mine, theirs, strict=True)])  # Huh et al.
    assert measured(student, teacher, neighbours=5) == pytest.approx(expected)


def test_value_by_hand():
    # Directions in degrees: the nearest of each is its neighbour on the circle.
    angle = torch.deg2rad(torch.tensor([0.0, 10.0, 90.0, 100.0]))
    other = torch.deg2rad(torch.tensor([0.0, 90.0, 10.0, 100.0]))
    student, teacher = (torch.stack([each.cos(), each.sin()], 1) for each in (angle, other))
    assert measured(student, student, neighbours=1) == 1.0
    assert measured(student, teacher, neighbours=1) == 0.0  # {0, 1} and {2, 3} against {0, 2} and {1, 3}


def test_unrelated_sites_agree_by_chance_only():
    found = measured(torch.randn(400, 16), torch.randn(400, 16))
    assert found == pytest.approx(10 / 399, abs=0.01)  # k / (n - 1)


def test_length_of_a_sample_does_not_matter():
    x = torch.randn(50, 6)
    assert measured(x, x * (torch.rand(50, 1) + 0.1)) == 1.0


def test_too_few_samples_are_refused_with_both_numbers():
    with pytest.raises(DataError, match=r"at least 21 samples for 10 neighbours\. Found 20"):
        measured(torch.randn(20, 3), torch.randn(20, 3))


def test_no_neighbours_are_refused():
    with pytest.raises(RecipeError, match="at least 1 neighbour"):
        MutualKNN(neighbours=0)
