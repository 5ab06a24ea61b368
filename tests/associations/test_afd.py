import numpy as np
import torch

from limbeck.associations import AFD
from limbeck.associations.family import Compared
from limbeck.features import Feature

PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def linear(module, x):
    bias = 0 if module.bias is None else module.bias.detach().numpy()
    return x @ module.weight.detach().numpy().T + bias


def test_value_by_numpy():
    association = AFD(PAIRS, (5, 6), (7, 8), width=4)
    mine = [Feature(torch.randn(3, 2, width)) for width in (5, 6)]
    theirs = [Feature(torch.randn(3, 2, width)) for width in (7, 8)]
    costs = torch.rand(3, 4)
    found = association(Compared(costs, range(4), [mine[i] for i, _ in PAIRS], [theirs[j] for _, j in PAIRS]))
    keys = [np.maximum(layer_norm(linear(association.keys[s][0], mine[s].x.mean(1).numpy())), 0) for s in range(2)]
    queries = [layer_norm(linear(association.queries[t][0], theirs[t].x.mean(1).numpy())) for t in range(2)]
    places = [each.detach().numpy() for each in association.places]
    expected = 0.0
    for b in range(3):
        for t in range(2):
            scores = [
                (queries[t][b] @ linear(association.bilinear[t], keys[s][b]) + places[1][t] @ places[0][s]) / 2.0
                for s in range(2)
            ]
            share = np.exp(scores) / np.exp(scores).sum()
            expected += sum(share[s] * costs[b, 2 * s + t].item() for s in range(2)) / 3
    np.testing.assert_allclose(found.item(), expected, rtol=1e-5)


def test_a_teacher_site_is_divided_among_students_of_unequal_numbers_of_links():
    association = AFD([(0, 0), (1, 0), (1, 1)], (5, 5), (5, 5))
    features = [Feature(torch.randn(3, 1, 5)) for _ in range(3)]
    weights = association.weigh(Compared(torch.ones(3, 3), range(3), features, features))
    torch.testing.assert_close(weights[:, :2].sum(1), torch.ones(3))
    torch.testing.assert_close(weights[:, 2], torch.ones(3))  # the only student of the second teacher site
