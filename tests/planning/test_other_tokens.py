"""A teacher that reads other tokens than the student, as with a tokenizer of its own."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import limbeck
from limbeck.batch import Batch, adapt_batch
from limbeck.distiller.distiller import Distiller
from limbeck.errors import PlanMismatch
from limbeck.planning import Plan
from limbeck.teachers import Teacher

OPTIONS = {"steps": 4, "lr": 0.01, "check_teacher": False, "progress": False}


class Reader(nn.Module):
    """Reads tokens and answers for each of them, or for the text."""

    def __init__(self, words, width, layers=2, classes=3, by_token=False):
        super().__init__()
        torch.manual_seed(width)
        self.words = nn.Embedding(words, width)
        make = nn.TransformerEncoderLayer
        self.layers = nn.ModuleList(make(width, 2, 2 * width, 0.0, batch_first=True) for _ in range(layers))
        self.head, self.by_token = nn.Linear(width, classes), by_token

    def forward(self, input_ids, attention_mask):
        x = self.words(input_ids)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=~attention_mask.bool())
        mask = attention_mask.unsqueeze(-1).to(x.dtype)
        return self.head(x if self.by_token else (x * mask).sum(1) / mask.sum(1))


def rows(theirs=9, count=48):
    """Texts of 6 words of the student's; the teacher has 9 or as many, of a larger vocabulary."""
    torch.manual_seed(0)
    made = []
    for index in range(count):
        row = {"input_ids": torch.randint(0, 20, (6,)), "attention_mask": torch.tensor([1] * 5 + [index % 2])}
        row["teacher_input_ids"] = torch.randint(0, 50, (theirs,))
        row["teacher_attention_mask"] = torch.tensor([1] * (theirs - 3) + [index % 2] * 3)
        made.append({**row, "labels": index % 3})
    return made


def loader(**options):
    return DataLoader(rows(**options), batch_size=16)


def models(**options):
    return Reader(50, 16, **options), Reader(20, 8, **options)


def test_a_batch_holds_the_inputs_of_both():
    batch = adapt_batch(next(iter(loader())))
    assert sorted(batch.inputs) == sorted(batch.teacher_inputs) == ["attention_mask", "input_ids"]
    assert batch.for_teacher.inputs["input_ids"].shape == (16, 9)
    assert batch.for_teacher.mask.shape == (16, 9)
    assert batch.mask.shape == (16, 6)
    assert batch.other_tokens


def test_the_inputs_of_the_teacher_may_be_given_whole():
    batch = adapt_batch({"x": torch.zeros(2, 3), "teacher_inputs": torch.zeros(2, 5), "label": torch.zeros(2)})
    assert list(batch.inputs) == ["x"]
    assert batch.for_teacher.inputs.shape == (2, 5)
    # Images in another size keep their places.
    assert not batch.other_tokens


def test_a_column_that_only_is_called_so_stays_an_input():
    batch = adapt_batch({"x": torch.zeros(2, 3), "teacher_score": torch.zeros(2)})
    assert sorted(batch.inputs) == ["teacher_score", "x"]
    assert batch.teacher_inputs is None
    assert batch.for_teacher is batch


def test_each_model_is_called_with_its_own_tokens():
    batch = adapt_batch(next(iter(loader())))
    teacher = models()[0].eval()
    with Teacher(teacher) as source:
        torch.testing.assert_close(source(batch).output, teacher(**batch.teacher_inputs))


@pytest.mark.parametrize("theirs", [9, 6], ids=["other length", "same length by chance"])
def test_features_are_linked_pooled_whatever_the_lengths(theirs):
    plan = limbeck.plan(*models(), loader(theirs=theirs), recipe="features")
    assert plan.terms
    for term in plan.terms:
        spec = plan.spec("teacher", term.teacher)
        assert spec.own_positions
        assert spec.positions == 1 or next(each.kind for each in term.targets) == "PoolVector"
    assert any("the models read different tokens, so both sides are pooled" in term.reason for term in plan.terms)


def test_what_stands_at_the_teachers_padding_does_not_count():
    teacher, student = models()
    plan = limbeck.plan(teacher, student, loader(), recipe="features")
    distiller = limbeck.planning.build(plan, student, total_steps=1)
    batch = adapt_batch(next(iter(loader())))
    other = {**batch.teacher_inputs}
    padding = other["attention_mask"] == 0
    other["input_ids"] = other["input_ids"].masked_fill(padding, 7)
    with Teacher(teacher, plan.teacher_sites) as source:
        limbeck.planning.fit_targets(distiller, source, [batch])
        distiller.eval()
        first, second = (distiller(each, source(each)).loss for each in (batch, batch._replace(teacher_inputs=other)))
    assert padding.any()
    torch.testing.assert_close(first, second)


def test_relations_of_samples_are_planned_as_ever():
    recipe = {"features": [{"loss": {"kind": "CKA"}}], "outputs": [{"loss": {"kind": "CrossEntropy"}}]}
    report = limbeck.distill(*models(), loader(), recipe=recipe, **OPTIONS)
    assert report.plan.terms


def test_answers_for_each_token_are_left_out_and_the_plan_says_why():
    targets = [{**row, "labels": row["input_ids"] % 3} for row in rows(theirs=6)]
    plan = limbeck.plan(*models(by_token=True), DataLoader(targets, batch_size=16))
    assert [term.loss.kind for term in plan.outputs] == ["CrossEntropy"]
    choice = next(each for each in plan.choices if each.name == "output loss")
    assert "each for its own tokens" in choice.reason


def test_answers_for_the_whole_text_may_be_learnt():
    recipe = {"features": [], "outputs": [{"loss": {"kind": "SoftLabels"}}]}
    report = limbeck.distill(*models(), loader(), recipe=recipe, **OPTIONS)
    assert [term.loss.kind for term in report.plan.outputs] == ["SoftLabels"]


def test_soft_labels_for_each_token_are_refused():
    recipe = {"features": [], "outputs": [{"loss": {"kind": "SoftLabels"}}]}
    with pytest.raises(PlanMismatch, match=r"SoftLabels needs an answer .*teacher_inputs.* one tokenizer"):
        limbeck.plan(*models(by_token=True), loader(theirs=6), recipe=recipe)


@pytest.mark.parametrize(
    "feature",
    [
        {"loss": {"kind": "TokenSimilarity"}},
        {"loss": {"kind": "MSE"}, "targets": [], "projector": {"kind": "Linear"}},
        {"loss": {"kind": "Cosine"}, "targets": [{"kind": "PoolGrid", "grid": [3]}], "projector": {"kind": "Linear"}},
    ],
    ids=lambda feature: feature["loss"]["kind"],
)
def test_losses_that_compare_positions_are_refused(feature):
    recipe = {"features": [feature], "outputs": [{"loss": {"kind": "CrossEntropy"}}]}
    with pytest.raises(PlanMismatch, match=r"compares positions.*teacher_inputs"):
        limbeck.plan(*models(), loader(theirs=6), recipe=recipe)


def test_a_saved_plan_is_followed(tmp_path):
    plan = limbeck.plan(*models(), loader(), recipe="features")
    plan.save(tmp_path / "plan.yaml")
    loaded = Plan.load(tmp_path / "plan.yaml")
    assert loaded.teacher_sites == plan.teacher_sites
    report = limbeck.distill(*models(), loader(), plan=loaded, **OPTIONS)
    assert all(spec.own_positions for spec in report.plan.teacher_sites)


def test_a_cache_keeps_what_the_teacher_says_of_its_tokens(tmp_path):
    students = []
    for how in ({}, {"cache": tmp_path, "cache_encoding": "float32"}, {"cache": tmp_path, "cache_encoding": "float32"}):
        report = limbeck.distill(*models(), loader(), recipe="features", **OPTIONS, **how)
        students.append(torch.cat([each.detach().flatten() for each in report.student.parameters()]))
    torch.testing.assert_close(students[1], students[0], rtol=1e-4, atol=1e-6)
    assert torch.equal(students[1], students[2])


def test_a_distiller_takes_such_batches_of_any_make():
    teacher, student = models()
    batch = Batch({"input_ids": torch.zeros(4, 6, dtype=torch.long), "attention_mask": torch.ones(4, 6)}, None)
    batch = batch._replace(teacher_inputs={"input_ids": torch.ones(4, 9).long(), "attention_mask": torch.ones(4, 9)})
    soft = limbeck.outputs.SoftLabels()
    distiller = Distiller(student, outputs=[soft], balancer=limbeck.balancers.Fixed(["output"], output=1.0))
    with Teacher(teacher) as source:
        assert distiller(batch, source(batch)).loss.requires_grad
