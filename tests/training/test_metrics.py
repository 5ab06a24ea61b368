"""What validation measures."""

import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.training.metrics import accuracy, label_accuracy, metric_of, negative_error


def test_maps_have_their_classes_on_the_second_axis():
    logits, labels = torch.randn(2, 5, 3, 4), torch.randint(0, 5, (2, 3, 4))
    labels[0, 0, 0] = -100
    scores = accuracy(logits, labels)
    # By loops over every pixel.
    right = [
        float(logits[b, :, i, j].argmax() == labels[b, i, j])
        for b in range(2) for i in range(3) for j in range(4) if labels[b, i, j] != -100
    ]  # fmt: skip
    assert scores.tolist() == right


def test_tokens_have_their_classes_on_the_last_axis():
    logits = torch.randn(2, 6, 5)
    assert accuracy(logits, logits.argmax(-1)).tolist() == [1.0] * 12


def test_a_batch_of_ignored_labels_has_no_score():
    assert accuracy(torch.randn(3, 4), torch.full((3,), -100)).numel() == 0
    assert label_accuracy(torch.randn(3, 4), torch.full((3, 4), -100)).numel() == 0


def test_of_shares_the_largest_is_the_right_class():
    shares = torch.tensor([[0.7, 0.3], [0.2, 0.8]])
    assert accuracy(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), shares).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_one_logit_answers_by_its_sign(shape):
    logits = torch.tensor([2.0, -1.0, 0.5]).reshape(shape)
    assert accuracy(logits, torch.tensor([1, 0, 0])).tolist() == [1.0, 1.0, 0.0]
    assert accuracy(logits, torch.tensor([[1.0], [0.0], [0.0]])).tolist() == [1.0, 1.0, 0.0]


def test_several_labels_are_scored_each_by_itself():
    assert label_accuracy(torch.tensor([[1.0, -1.0]]), torch.tensor([[1.0, 1.0]])).tolist() == [1.0, 0.0]


def test_regression_takes_labels_with_or_without_an_axis():
    assert negative_error(torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, 2.0])).tolist() == [-4.0, 0.0]


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(RecipeError, match="Nearest: 'accuracy'"):
        metric_of("acuracy")
