import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from limbeck.associations import EarthMover
from limbeck.associations.family import Compared


def exact_flow(costs):
    """The linear program of the earth mover's distance, by scipy."""
    rows, columns = costs.shape
    equal = np.zeros((rows + columns, rows * columns))
    for i, j in itertools.product(range(rows), range(columns)):
        equal[i, i * columns + j] = equal[rows + j, i * columns + j] = 1
    masses = [1 / rows] * rows + [1 / columns] * columns
    return linprog(costs.flatten(), A_eq=equal, b_eq=masses).fun


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (4, 3)])
def test_approaches_the_exact_flow(shape):
    pairs = list(itertools.product(range(shape[0]), range(shape[1])))
    costs = torch.rand(shape) + 0.1
    association = EarthMover(pairs, epsilon=0.005, iterations=2000)
    found = association(Compared(costs.reshape(1, -1), range(len(pairs)))).item()
    assert found == pytest.approx(exact_flow(costs.numpy()), rel=0.02)


def test_every_site_gives_and_takes_its_share():
    pairs = list(itertools.product(range(2), range(3)))
    flow = EarthMover(pairs, iterations=500).weigh(Compared(torch.rand(1, 6) + 0.1, range(6))).reshape(2, 3)
    torch.testing.assert_close(flow.sum(1), torch.full((2,), 1 / 2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(flow.sum(0), torch.full((3,), 1 / 3), rtol=1e-3, atol=1e-4)


def test_the_flow_is_a_constant_for_the_gradient():
    costs = (torch.rand(1, 4) + 0.1).requires_grad_()
    association = EarthMover([(0, 0), (0, 1), (1, 0), (1, 1)])
    compared = Compared(costs, range(4))
    (gradient,) = torch.autograd.grad(association(compared), costs)
    torch.testing.assert_close(gradient, association.weigh(compared))


def test_value_by_hand():
    # The flow adds up to 1, so that it does not matter where it goes if all costs are 3.
    many, one = EarthMover([(0, 0), (0, 1), (1, 0), (1, 1)]), EarthMover([(0, 0), (0, 1)])
    assert many(Compared(torch.full((1, 4), 3.0), range(4))).item() == pytest.approx(3.0, rel=1e-4)
    # One student site must give half of its mass to each teacher site.
    assert one(Compared(torch.tensor([[1.0, 5.0]]), range(2))).item() == pytest.approx(3.0, rel=1e-4)
