import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.losses import RedundancySuppression


def test_value_by_hand():
    teacher = Feature(torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]], [[-1.0, 1.0]], [[-1.0, -1.0]]]))
    student = Feature(teacher.x.flip(-1))
    # Own correlations 0, others 1: (2 * 1 + 0.01 * 2) / 2.
    assert RedundancySuppression()(student, teacher).item() == pytest.approx(1.01, rel=1e-4)


@pytest.mark.parametrize("kappa", [0.0, 0.01, 1.0])
def test_value_by_numpy(kappa):
    student, teacher = torch.randn(6, 3, 5), torch.randn(6, 3, 5)
    rows = [each.flatten(0, 1).cpu().numpy() for each in (student, teacher)]
    rho = np.corrcoef(rows[1].T, rows[0].T)[:5, 5:]
    own = np.eye(5, dtype=bool)
    expected = (((rho[own] - 1) ** 2).sum() + kappa * (rho[~own] ** 2).sum()) / 5
    found = RedundancySuppression(kappa=kappa)(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(expected, rel=1e-3)


def test_negative_kappa_is_refused():
    with pytest.raises(RecipeError, match="at least 0"):
        RedundancySuppression(kappa=-0.1)
