"""What a site costs by itself is computed once for each site, not once for each pair of sites."""

import pytest
import torch

from limbeck.features import Feature
from limbeck.similarity import MinibatchCKA, MutualKNN, Procrustes, RidgePredictability, minibatch_cka, procrustes


@pytest.mark.parametrize(
    ("cls", "home", "work", "calls"),
    [
        (MinibatchCKA, minibatch_cka, "u_centred_rows", 3 + 4),
        (MutualKNN, MutualKNN, "_neighbours", 3 + 4),
        (RidgePredictability, RidgePredictability, "_left_over", 3 + 1),  # one for what all would be compared with
        (Procrustes, procrustes, "principal", 3 + 4),
    ],
)
def test_each_site_is_worked_on_once(cls, home, work, calls, monkeypatch):
    asked = []
    original = getattr(home, work)
    monkeypatch.setattr(home, work, lambda *arguments: asked.append(1) or original(*arguments))
    similarity = cls()
    sides = ({str(i): Feature(torch.randn(32, 1, 9)) for i in range(count)} for count in (3, 4))
    similarity.update(*sides)
    similarity.compute()
    assert len(asked) == calls


@pytest.mark.parametrize("cls", [MinibatchCKA, MutualKNN])
def test_a_large_batch_is_taken_in_pieces_without_a_difference(cls, monkeypatch):
    student = {"a": Feature(torch.randn(50, 3, 4))}
    teacher = {"b": Feature(student["a"].x @ torch.randn(4, 6)), "c": Feature(torch.randn(50, 1, 5))}
    found = []
    for entries in (2**17, 50 * 7):
        monkeypatch.setattr("limbeck._math.pieces.ROWS_ENTRIES", entries)
        similarity = cls()
        similarity.update(student, teacher)
        found.append(similarity.compute())
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-6)
