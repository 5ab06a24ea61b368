import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.losses import WKDF


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0], [3.0]]]), (2,))
    teacher = Feature(torch.tensor([[[1.0], [1.0]]]), (2,))
    # Means 2 and 1; deviations sqrt(2 + 1e-5) and sqrt(1e-5).
    expected = 4 * 1 + (2.00001**0.5 - 0.00001**0.5) ** 2
    assert WKDF()(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weight", [4.0, 2.0, 0.0])
def test_value_by_numpy_on_different_grids(weight):
    student, teacher = torch.randn(3, 6, 5), 2 * torch.randn(3, 9, 5) + 1
    total = 0.0
    for s, t in zip(student.cpu().numpy(), teacher.cpu().numpy(), strict=True):
        deviations = [np.sqrt(each.var(0, ddof=1) + 1e-5) for each in (s, t)]
        total += weight * ((s.mean(0) - t.mean(0)) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    found = WKDF(mean=weight)(Feature(student, (2, 3)), Feature(teacher, (3, 3)))
    assert found.item() == pytest.approx(total / 3, rel=1e-4)  # the formula of the paper, sum over channels


def test_vectors_are_compared_by_their_values():
    student, teacher = torch.randn(3, 1, 4), torch.randn(3, 1, 4)
    expected = 4 * (student - teacher).square().sum((1, 2)).mean()
    assert WKDF()(Feature(student), Feature(teacher)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_padding_changes_nothing():
    x, teacher = torch.randn(2, 4, 3), Feature(torch.randn(2, 5, 3), (5,))
    padded = Feature(
        torch.cat([x, 9 * torch.ones(2, 3, 3)], 1), (7,), mask=torch.tensor([[True] * 4 + [False] * 3] * 2)
    )
    assert WKDF()(padded, teacher).item() == pytest.approx(WKDF()(Feature(x, (4,)), teacher).item(), rel=1e-5)


def test_negative_weight_is_refused():
    with pytest.raises(RecipeError, match="at least 0"):
        WKDF(mean=-1.0)
