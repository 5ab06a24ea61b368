"""Answers for every token, of sentences whose length differs from batch to batch."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import limbeck
from limbeck.errors import LimbeckError

OPTIONS = {"steps": 8, "lr": 0.01, "check_teacher": False, "progress": False}


class Tagger(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.words, self.rnn = nn.Embedding(50, width), nn.GRU(width, width, batch_first=True)
        self.middle, self.head = nn.Linear(width, width), nn.Linear(width, 5)

    def forward(self, input_ids):
        return self.head(torch.relu(self.middle(self.rnn(self.words(input_ids))[0])))


def padded(sentences):
    ids = nn.utils.rnn.pad_sequence(sentences, batch_first=True)
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": (ids % 5).where(ids > 0, -100)}


def sentences(count=64):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(4, 12, (count,), generator=generator).tolist()
    return [torch.randint(1, 50, (length,), generator=generator) for length in lengths]


def distilled(recipe, **options):
    torch.manual_seed(0)
    data = DataLoader(sentences(), batch_size=8, shuffle=True, collate_fn=padded)
    held = DataLoader(sentences(24), batch_size=8, collate_fn=padded)
    return limbeck.distill(Tagger(16), Tagger(6), data, validation=held, recipe=recipe, **OPTIONS, **options)


@pytest.mark.parametrize("recipe", ["auto", "soft-labels", "features"])
def test_batches_of_different_lengths_are_learnt(recipe):
    report = distilled(recipe)
    assert report.history.rows[-1]["step"] == 8
    if recipe != "features":
        assert report.evaluation.samples == sum(map(len, sentences(24)))


@pytest.mark.parametrize("recipe", ["auto", "soft-labels"])
def test_a_cache_of_them_is_refused_with_what_to_do(recipe, tmp_path):
    with pytest.raises(LimbeckError, match="Pad all batches to one length"):
        distilled(recipe, cache=tmp_path)
