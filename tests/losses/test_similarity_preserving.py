import numpy as np
import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import SimilarityPreserving


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0]], [[1.0]]]))
    teacher = Feature(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    # Rows (1, 1)/sqrt(2) twice against the identity: 4 entries, 2 of (1 - 0.7071)^2 and 2 of 0.7071^2.
    expected = (2 * (1 - 0.5**0.5) ** 2 + 2 * 0.5) / 4
    assert SimilarityPreserving()(student, teacher).item() == pytest.approx(expected, rel=1e-6)


def test_value_by_loops():
    student, teacher = torch.randn(5, 3, 2), torch.randn(5, 2, 4)
    grams = []
    for feature in (student, teacher):
        rows = feature.reshape(5, -1).cpu().numpy()
        gram = np.array([[one @ other for other in rows] for one in rows])
        grams.append(np.array([row / np.sqrt((row**2).sum()) for row in gram]))
    expected = ((grams[0] - grams[1]) ** 2).sum() / 5**2  # eq. 4 of the paper
    found = SimilarityPreserving()(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_rotation_and_scale_of_the_student_do_not_matter():
    student, teacher = torch.randn(6, 1, 4), Feature(torch.randn(6, 3, 2))
    turn, _ = torch.linalg.qr(torch.randn(4, 4))
    plain, turned = (SimilarityPreserving()(Feature(x), teacher).item() for x in (student, 9 * student @ turn))
    assert turned == pytest.approx(plain, rel=1e-4)  # inner products keep their ratios


def test_single_sample_is_refused():
    with pytest.raises(ShapeMismatch, match="at least 2 samples"):
        SimilarityPreserving()(Feature(torch.ones(1, 2, 3)), Feature(torch.ones(1, 2, 3)))
