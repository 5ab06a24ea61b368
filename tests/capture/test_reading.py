"""Which position the head reads is seen by the gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.batch import Batch
from limbeck.capture import probe


class Reads(nn.Module):
    """Tokens of words, of which the head reads what it is told to."""

    def __init__(self, what: object) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(50, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        self.what = what

    def forward(self, input_ids, attention_mask=None):
        x = self.mix(self.embed(input_ids))
        if self.what == "last valid":
            return self.head(x[torch.arange(len(x)), attention_mask.sum(1) - 1])
        if self.what == "nothing":
            return self.head(0 * x.mean(1))
        return self.head(x[:, self.what].mean(1))


@pytest.mark.parametrize(
    ("what", "summary"),
    [([0], 0), ([-1], -1), ([0, 1], None), ([1], None), ([0, -1], None), (slice(None), None), ("nothing", None)],
)
def test_one_position_is_told_from_several(what, summary):
    anatomy = probe(Reads(what), Batch(torch.randint(0, 50, (3, 6))))
    assert anatomy.spec("mix").summary == summary


def test_the_last_valid_position_is_the_last_one():
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0]])
    batch = Batch({"input_ids": torch.randint(0, 50, (3, 6)), "attention_mask": mask})
    assert probe(Reads("last valid"), batch).spec("mix").summary == -1
    # The same position in every sample is not the last valid one of each.
    assert probe(Reads([-1]), batch).spec("mix").summary is None
