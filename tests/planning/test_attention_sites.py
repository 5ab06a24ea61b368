"""Attention scores are compared where queries and keys are, and nowhere else."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.errors import PlanMismatch


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        queries, keys, values = self.qkv(x).chunk(3, -1)
        return x + self.out((queries @ keys.transpose(-1, -2)).softmax(-1) @ values)


class Net(nn.Module):
    def __init__(self, width, blocks):
        super().__init__()
        self.stem, self.head = nn.Linear(4, width), nn.Linear(width, 3)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return Net(24, 4), Net(12, 2)


DATA = DataLoader(TensorDataset(torch.randn(32, 5, 4), torch.randint(0, 3, (32,))), batch_size=8)


SITES = {"student": ["blocks.0.qkv", "blocks.1.qkv"], "teacher": ["blocks.1.qkv", "blocks.3.qkv"]}


def recipe(**mapping):
    return {"mapping": mapping, "features": [{"loss": {"kind": "AttentionScores", "heads": 2}}]}


def test_fused_projections_named_by_the_user_are_compared(pair):
    teacher, student = pair
    plan = limbeck.plan(teacher, student, DATA, recipe=recipe(kind="SameDepth"), sites=SITES)
    assert [(term.student, term.teacher) for term in plan.terms] == list(zip(*SITES.values(), strict=True))
    report = limbeck.distill(teacher, student, DATA, plan=plan, steps=3, lr=0.01, check_teacher=False, progress=False)
    assert report.history.rows[-1]["step"] == 3


@pytest.mark.parametrize("mapping", [{"kind": "SameDepth"}, {"kind": "Explicit", "pairs": [["blocks.0", "blocks.1"]]}])
def test_hidden_states_are_refused_with_what_would_do(pair, mapping):
    with pytest.raises(PlanMismatch, match=r"queries and keys.*MiniLMRelations"):
        limbeck.plan(*pair, DATA, recipe=recipe(**mapping))


def test_a_plan_edited_to_such_a_site_is_refused_too(pair):
    plan = limbeck.plan(*pair, DATA, recipe=recipe(kind="SameDepth"), sites=SITES)
    edited = plan.model_copy(update={"terms": (plan.terms[0].model_copy(update={"teacher": "blocks.1"}),)})
    with pytest.raises(PlanMismatch, match=r"teacher's 'blocks\.1'"):
        limbeck.distill(*pair, DATA, plan=edited, steps=3, lr=0.01, check_teacher=False, progress=False)
