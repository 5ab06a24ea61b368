"""A plan made on texts of one length fits texts of another."""

import torch
from torch import nn

import limbeck
from limbeck.batch import adapt_batch
from limbeck.planning import check_plan


class Text(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.words, self.block, self.head = nn.Embedding(9, width), nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, input_ids, attention_mask):
        states = self.block(self.words(input_ids)) * attention_mask.unsqueeze(-1)
        return self.head(states.mean(1))


def texts(length):
    ids = torch.randint(1, 9, (6, length), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, -2:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": ids[:, 0] % 2}


def test_a_plan_fits_texts_of_another_length_and_knows_it():
    teacher, student = Text(8), Text(4)
    plan = limbeck.plan(teacher, student, [texts(6)] * 3, sites={"student": ["block"], "teacher": ["block"]})
    (spec,) = plan.student_sites
    assert (spec.positions, spec.variable) == (6, True)
    checked = check_plan(plan, student, teacher, adapt_batch(texts(10)))
    assert [each.positions for each in (*checked.student_sites, *checked.teacher_sites)] == [10, 10]
