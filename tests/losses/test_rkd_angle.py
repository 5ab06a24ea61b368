import numpy as np
import pytest
import torch

from limbeck.features import Feature
from limbeck.losses import RKDAngle


def angles(feature):
    rows = feature.reshape(len(feature), -1).cpu().numpy()
    found = np.zeros((len(rows),) * 3)
    for i, a in enumerate(rows):
        for j, corner in enumerate(rows):
            for k, b in enumerate(rows):
                one, other = a - corner, b - corner
                lengths = np.sqrt((one @ one) * (other @ other))
                found[i, j, k] = one @ other / lengths if lengths else 0
    return found


def test_value_by_hand():
    student = Feature(torch.tensor([[[-1.0, 0.0]], [[0.0, 0.0]], [[1.0, 0.0]]]))
    teacher = Feature(torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 1.0]]]))
    # Cosine -1 at the middle against 0, and 1 at both ends against 0.7071; each twice in 27 triples.
    expected = 2 * (0.5 + 2 * (1 - 0.5**0.5) ** 2 / 2) / 27
    assert RKDAngle()(student, teacher).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("chunk", [2**24, 70, 1])
def test_value_by_loops_in_chunks_of_any_size(chunk):
    student, teacher = torch.randn(5, 3, 2), torch.randn(5, 2, 4)
    gap = np.abs(angles(student) - angles(teacher))
    expected = np.where(gap < 1, gap**2 / 2, gap - 0.5).mean()  # eqs. 7 to 9 of the paper
    assert RKDAngle(chunk=chunk)(Feature(student), Feature(teacher)).item() == pytest.approx(expected, rel=1e-4)


def test_chunks_give_the_gradient_of_the_whole():
    x, teacher = torch.randn(6, 1, 4), Feature(torch.randn(6, 1, 3))
    gradients = []
    for chunk in (2**24, 60):
        student = x.clone().requires_grad_()
        RKDAngle(chunk=chunk)(Feature(student), teacher).backward()
        gradients.append(student.grad)
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-7)


def test_equal_samples_leave_the_gradient_of_the_others_bounded():
    x = torch.randn(5, 1, 4)
    x[1] = x[0]
    student = x.requires_grad_()
    RKDAngle()(Feature(student), Feature(torch.randn(5, 1, 3))).backward()
    assert student.grad.abs().max() < 10


def test_shift_rotation_and_scale_of_the_student_do_not_matter():
    student, teacher = torch.randn(6, 1, 4), Feature(torch.randn(6, 3, 2))
    turn, _ = torch.linalg.qr(torch.randn(4, 4))
    plain, moved = (RKDAngle()(Feature(x), teacher).item() for x in (student, 9 * student @ turn + 3))
    assert moved == pytest.approx(plain, rel=1e-3)
