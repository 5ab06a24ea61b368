"""What a loop of somebody else's starts with."""

import torch

from limbeck.integrations.preparation import Preparation
from tests.integrations.berts import bert, sentences, trainer


def test_a_recipe_lets_the_student_start_with_layers_of_the_teacher(tmp_path):
    teacher, student = bert(16, 4, seed=1), bert(16, 2)
    given = trainer(tmp_path, student=student, teacher=teacher, recipe={"start": "last"}, max_steps=1)
    for index, layer in enumerate((2, 3)):
        mine, theirs = (
            each.state_dict() for each in (student.bert.encoder.layer[index], teacher.bert.encoder.layer[layer])
        )
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert given.plan.start == "last"
    assert "start" in [each.name for each in given.plan.choices]


def test_a_saved_plan_does_so_too():
    keys = ("input_ids", "attention_mask", "labels")
    rows = [{key: torch.tensor([row[key] for row in sentences(8)]) for key in keys}]
    plan = Preparation.look(bert(16, 2), bert(16, 4, seed=1), rows, recipe={"start": "first"}).plan
    teacher, student = bert(16, 4, seed=1), bert(16, 2)
    Preparation.look(student, teacher, rows, plan=plan)
    assert torch.equal(student.classifier.weight, teacher.classifier.weight)
