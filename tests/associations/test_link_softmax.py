import math

import numpy as np
import pytest
import torch

from limbeck.associations import LinkSoftmax
from limbeck.associations.family import Compared
from limbeck.errors import RecipeError

PAIRS = [(0, 0), (0, 1), (1, 1)]


def test_value_by_numpy():
    association = LinkSoftmax(PAIRS, entropy=0.5)
    with torch.no_grad():
        association.scores.copy_(torch.tensor([0.3, -0.7, 2.0]))
    first = np.exp([0.3, -0.7]) / np.exp([0.3, -0.7]).sum()
    expected = (first @ [2.0, 1.0] + 3.0 + 0.5 * (first * np.log(first)).sum()) / 2  # the only link of the second: 1
    assert association(Compared(torch.tensor([[2.0, 1.0, 3.0]]), range(3))).item() == pytest.approx(expected, rel=1e-6)


def test_entropy_keeps_shares_apart_from_zero():
    shares = []
    for entropy in (0.0, 1.0):
        association = LinkSoftmax([(0, 0), (0, 1)], entropy=entropy)
        optimizer = torch.optim.SGD(association.parameters(), lr=1.0)
        for _ in range(2000):
            optimizer.zero_grad()
            association(Compared(torch.tensor([[0.0, 1.0]]), range(2))).backward()
            optimizer.step()
        shares.append(association.weigh(Compared(torch.ones(1, 2), range(2)))[0, 1].item())
    assert shares[0] < 0.01
    # With h = 1 the optimum is the softmax of minus the costs: e^-1 / (1 + e^-1).
    assert shares[1] == pytest.approx(0.2689, abs=0.01)


def test_negative_entropy_is_refused():
    with pytest.raises(RecipeError, match="at least 0"):
        LinkSoftmax(PAIRS, entropy=-1.0)


def test_value_by_hand():
    association = LinkSoftmax([(0, 0), (0, 1)], entropy=0.5)
    # (1 + 3) / 2 less half of log 2, the entropy of two equal shares.
    found = association(Compared(torch.tensor([[1.0, 3.0]]), range(2))).item()
    assert found == pytest.approx(2 - 0.5 * math.log(2))
