import torch

from limbeck.associations import MinimumLink
from limbeck.associations.family import Compared

PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_only_the_easiest_link_of_each_student_site_learns():
    costs = torch.tensor([[1.0, 3.0, 9.0, 2.0], [2.0, 1.0, 9.0, 4.0]], requires_grad=True)
    value = MinimumLink(PAIRS)(Compared(costs, range(4)))
    (gradient,) = torch.autograd.grad(value, costs)
    # Means are 1.5, 2, 9, 3: the first and the last link, each a half of the mean over two samples.
    assert value.item() == (1.5 + 3) / 2
    assert gradient.tolist() == [[0.25, 0, 0, 0.25], [0.25, 0, 0, 0.25]]
