import pytest
import torch

from limbeck.features import Feature
from limbeck.projectors import Orthogonal


def trained(projector: Orthogonal, steps: int = 30) -> Orthogonal:
    optimizer = torch.optim.SGD(projector.parameters(), lr=1.0)
    cols = projector.weight.shape[1]
    x, y = torch.randn(16, 1, cols), torch.randn(16, 1, projector.weight.shape[0])
    for _ in range(steps):
        optimizer.zero_grad()
        (projector(Feature(x)).x - y).square().mean().backward()
        optimizer.step()
    return projector


@pytest.mark.parametrize(("student", "teacher"), [(3, 8), (8, 3), (5, 5)])
def test_it_stays_orthogonal_while_it_is_trained(student, teacher):
    projector = Orthogonal(student, teacher)
    start = projector.matrix().detach().clone()
    matrix = trained(projector).matrix().detach()
    small = matrix.T @ matrix if student <= teacher else matrix @ matrix.T
    assert torch.allclose(small, torch.eye(min(student, teacher)), atol=1e-5)  # the definition
    assert not torch.allclose(matrix, start, atol=1e-2)  # and has been trained


@pytest.mark.parametrize(("student", "teacher"), [(3, 8), (8, 3)])
def test_it_starts_as_the_matrix_that_it_holds(student, teacher):
    projector = Orthogonal(student, teacher)
    assert torch.allclose(projector.matrix(), projector.weight, atol=1e-5)  # QR of an orthogonal matrix, signs fixed


def test_value_is_that_of_gram_and_schmidt():
    projector = Orthogonal(2, 3)
    with torch.no_grad():
        projector.weight.copy_(torch.tensor([[3.0, 1.0], [4.0, 1.0], [0.0, 2.0]]))
    first = torch.tensor([0.6, 0.8, 0.0])
    second = torch.tensor([1.0, 1.0, 2.0])
    second = second - (second @ first) * first
    expected = torch.stack([first, second / second.norm()], 1)
    assert torch.allclose(projector.matrix(), expected, atol=1e-6)
    out = projector(Feature(torch.tensor([[[1.0, 2.0]]]))).x.flatten()
    assert torch.allclose(out, expected @ torch.tensor([1.0, 2.0]), atol=1e-6)


def test_distances_between_samples_are_kept():
    x = torch.randn(6, 1, 4)
    out = trained(Orthogonal(4, 9))(Feature(x)).x
    assert torch.allclose(torch.cdist(out[:, 0], out[:, 0]), torch.cdist(x[:, 0], x[:, 0]), atol=1e-4)


def test_gradient_is_right_in_double_precision():
    projector = Orthogonal(3, 4).double()
    x = torch.randn(2, 1, 3, dtype=torch.float64)

    def out(weight):
        return torch.func.functional_call(projector, {"weight": weight}, (Feature(x),)).x

    weight = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(out, weight)


def test_it_can_learn_any_rotation():
    target, _ = torch.linalg.qr(torch.randn(5, 3))
    projector = Orthogonal(3, 5)
    optimizer = torch.optim.Adam(projector.parameters(), lr=0.05)
    x = torch.randn(64, 1, 3)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (projector(Feature(x)).x - x @ target.T).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3


def test_value_by_hand():
    projector = Orthogonal(1, 2)
    with torch.no_grad():
        projector.weight.copy_(torch.tensor([[3.0], [4.0]]))  # of length 5
    assert torch.allclose(projector(Feature(torch.tensor([[[5.0]]]))).x, torch.tensor([[[3.0, 4.0]]]))
