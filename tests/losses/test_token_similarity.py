import math

import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import TokenSimilarity


def test_value_by_hand():
    student = Feature(torch.tensor([[[2.0, 0.0], [0.0, 5.0]]]), (2,))
    teacher = Feature(torch.tensor([[[1.0], [4.0]]]), (2,))
    # Cosines 1 and 0 against 1 and 1, at temperature 1.
    row = 0.5 * math.log(0.5 * (math.e + 1) / math.e) + 0.5 * math.log(0.5 * (math.e + 1))
    assert TokenSimilarity(temperature=1.0)(student, teacher).item() == pytest.approx(row, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_value_by_loops(temperature):
    student, teacher = torch.randn(3, 6, 4), torch.randn(3, 6, 7)
    total = 0.0
    for s, t in zip(student.cpu().numpy(), teacher.cpu().numpy(), strict=True):
        s, t = ([token / np.sqrt((token**2).sum()) for token in each] for each in (s, t))
        for n in range(6):
            rows = [np.array([math.exp(each[n] @ other / temperature) for other in each]) for each in (s, t)]
            mine, theirs = (row / row.sum() for row in rows)
            total += (theirs * np.log(theirs / mine)).sum()
    found = TokenSimilarity(temperature=temperature)(Feature(student, (2, 3)), Feature(teacher, (2, 3)))
    assert found.item() == pytest.approx(total / (3 * 6), rel=1e-4)


def test_prefix_tokens_take_no_part():
    x, teacher = torch.randn(2, 5, 3), Feature(torch.randn(2, 5, 4), (5,))
    with_class_token = Feature(torch.cat([100 * torch.ones(2, 1, 3), x], 1), (5,), prefix=1)
    found, expected = (TokenSimilarity()(each, teacher).item() for each in (with_class_token, Feature(x, (5,))))
    assert found == pytest.approx(expected, rel=1e-5)


def test_single_position_is_refused_instead_of_giving_zero():
    feature = Feature(torch.randn(2, 1, 3), (1, 1))
    with pytest.raises(ShapeMismatch, match="at least 2 positions"):
        TokenSimilarity()(feature, feature)


def test_temperature_of_zero_is_refused():
    with pytest.raises(RecipeError, match="positive temperature"):
        TokenSimilarity(temperature=0.0)
