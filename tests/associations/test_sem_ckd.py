import numpy as np
import torch

from limbeck.associations import SemCKD
from limbeck.associations.family import Compared
from limbeck.features import Feature

PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def normalised(x):
    return x / np.sqrt((x**2).sum(-1, keepdims=True))


def perceptron(module, x):
    """Layer norm, linear, ReLU, linear, in numpy."""
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    _, first, _, second = module
    hidden = np.maximum(x @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    return hidden @ second.weight.detach().numpy().T + second.bias.detach().numpy()


def test_value_by_numpy():
    association = SemCKD(PAIRS, (5, 6), (7, 8), width=4, temperature=0.5)
    mine = [Feature(torch.randn(3, 2, width)) for width in (5, 6)]
    theirs = [Feature(torch.randn(3, 2, width)) for width in (7, 8)]
    costs = torch.rand(3, 4)
    found = association(Compared(costs, range(4), [mine[i] for i, _ in PAIRS], [theirs[j] for _, j in PAIRS]))
    queries = [normalised(perceptron(association.queries[i], mine[i].x.mean(1).numpy())) for i in range(2)]
    keys = [normalised(perceptron(association.keys[j], theirs[j].x.mean(1).numpy())) for j in range(2)]
    expected = 0.0
    for b in range(3):
        for i in range(2):
            scores = np.array([queries[i][b] @ keys[j][b] / 0.5 for j in range(2)])
            share = np.exp(scores) / np.exp(scores).sum()
            expected += (share * costs[b, 2 * i : 2 * i + 2].numpy()).sum() / (3 * 2)
    np.testing.assert_allclose(found.item(), expected, rtol=1e-5)


def test_attention_learns_the_cheap_teacher_site_of_each_student_site():
    torch.manual_seed(0)
    association = SemCKD(PAIRS, (5, 5), (5, 5), width=8)
    features = [Feature(torch.randn(16, 1, 5)) for _ in range(4)]
    compared = Compared(torch.tensor([[0.1, 1.0, 1.0, 0.1]]).expand(16, 4), range(4), features, features)
    optimizer = torch.optim.Adam(association.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        association(compared).backward()
        optimizer.step()
    weights = association.weigh(compared).mean(0) * 2
    assert weights[0] > 0.8
    assert weights[3] > 0.8
