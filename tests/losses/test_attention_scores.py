import math

import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import AttentionScores


def scores(tokens, heads, parts, head):
    queries, keys = np.split(tokens, parts, axis=1)[:2]
    width = queries.shape[1] // heads
    columns = slice(head * width, (head + 1) * width)
    return queries[:, columns] @ keys[:, columns].T / math.sqrt(width)


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0, 2.0], [0.0, 3.0]]]))
    teacher = Feature(torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]))
    # Scores (2, 3; 0, 0) against (0, 1; 0, 1).
    assert AttentionScores(heads=1, parts=2)(student, teacher).item() == pytest.approx((4 + 4 + 0 + 1) / 4)


@pytest.mark.parametrize("parts", [2, 3])
def test_value_by_loops(parts):
    student, teacher = torch.randn(3, 5, 8 * parts), torch.randn(3, 5, 4 * parts)
    errors = [
        (scores(s, 2, parts, head) - scores(t, 2, parts, head)) ** 2
        for s, t in zip(student.cpu().numpy(), teacher.cpu().numpy(), strict=True)
        for head in range(2)
    ]
    found = AttentionScores(heads=2, parts=parts)(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(np.mean(errors), rel=1e-4)  # eq. 7 of the paper


def test_values_behind_queries_and_keys_take_no_part():
    student, teacher = torch.randn(2, 4, 6), torch.randn(2, 4, 6)
    other = torch.cat([student[..., :4], torch.randn(2, 4, 2)], -1)
    loss = AttentionScores(heads=2)
    found, expected = (loss(Feature(x), Feature(teacher)).item() for x in (other, student))
    assert found == pytest.approx(expected)


def test_padding_changes_nothing():
    student, teacher = torch.randn(2, 4, 4), torch.randn(2, 4, 8)
    mask = torch.tensor([[True] * 4 + [False] * 3] * 2)
    padded = [Feature(torch.cat([x, torch.randn(2, 3, x.shape[2])], 1), mask=mask) for x in (student, teacher)]
    loss = AttentionScores(heads=2, parts=2)
    assert loss(*padded).item() == pytest.approx(loss(Feature(student), Feature(teacher)).item(), rel=1e-4)


def test_future_tokens_take_no_part_in_a_decoder():
    student, teacher = torch.randn(1, 3, 2), torch.randn(1, 3, 2)
    error = (scores(student[0].numpy(force=True), 1, 2, 0) - scores(teacher[0].numpy(force=True), 1, 2, 0)) ** 2
    expected = np.mean([error[n, : n + 1].mean() for n in range(3)])
    found = AttentionScores(heads=1, parts=2, causal=True)(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ShapeMismatch, match="36 groups.*student 96, teacher 2304"):
        AttentionScores()(Feature(torch.randn(1, 3, 96)), Feature(torch.randn(1, 3, 2304)))


def test_other_parts_are_refused():
    with pytest.raises(RecipeError, match="2 parts"):
        AttentionScores(parts=1)
