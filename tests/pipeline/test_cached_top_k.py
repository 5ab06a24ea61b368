"""Distillation from the most probable classes of each answer."""

import json

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import limbeck
from limbeck.cache.inspecting import inspect_cache
from limbeck.errors import RecipeError, RunError
from tests.toys import Counting

WORDS, LENGTH = 40, 6
SOFT = {"features": [], "outputs": [{"loss": {"kind": "SoftLabels", "temperature": 3.0}}]}
OPTIONS = {"steps": 8, "lr": 0.01, "check_teacher": False, "progress": False}


def model(width, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(WORDS, width), nn.Linear(width, WORDS))


def loader():
    torch.manual_seed(1)
    tokens = torch.randint(0, WORDS, (48, LENGTH))
    return DataLoader([(row, row) for row in tokens], batch_size=16, shuffle=True)


def distilled(recipe=SOFT, teacher=None, **options):
    return limbeck.distill(teacher or model(16), model(4, seed=2), loader(), recipe=recipe, **{**OPTIONS, **options})


def weights(report):
    return torch.cat([each.detach().flatten() for each in report.student.parameters()])


def test_a_second_run_reads_what_the_first_computed_and_gives_the_same_student(tmp_path):
    teacher = Counting(model(16))
    first = distilled(teacher=teacher, cache=tmp_path, cache_top_k=5)
    seen, teacher.seen = teacher.seen, 0
    second = distilled(teacher=teacher, cache=tmp_path, cache_top_k=5)
    assert torch.equal(weights(first), weights(second))
    assert teacher.seen < seen
    fields = {each.name: each for each in inspect_cache(tmp_path, check=True).fields}
    assert sum(each.damaged for each in fields.values()) == 0
    assert "+logits" not in fields
    assert fields["+logits+top5+classes"].shape == (LENGTH, 5)
    # The temperature of the loss, and the usual ones.
    assert {name for name in fields if "rest" in name} == {f"+logits+top5+rest+{each}" for each in (1.0, 2.0, 3.0, 4.0)}


def test_the_report_says_what_is_lost(tmp_path):
    report = distilled(cache=tmp_path, cache_top_k=5)
    choice = next(each for each in report.plan.choices if each.name == "teacher cache")
    assert "the 5 most probable of 40 classes" in choice.reason
    assert "nats lost" in choice.candidates["+logits+top5+rest+3.0"]


def test_many_classes_teach_nearly_what_all_logits_teach(tmp_path):
    whole = weights(distilled(cache=tmp_path / "whole", cache_encoding="float32"))
    near, far = (weights(distilled(cache=tmp_path / str(k), cache_top_k=k)) for k in (39, 1))
    assert (near - whole).norm() < 0.1 * (far - whole).norm()
    assert torch.equal(weights(distilled(cache=tmp_path / "all", cache_top_k=40)), whole)


def test_a_loss_that_needs_all_logits_is_refused_before_training(tmp_path):
    recipe = {"features": [], "outputs": [{"loss": {"kind": "DIST"}}]}
    with pytest.raises(RecipeError, match=r"cache_top_k=5.*Found DIST, which need every logit. Use SoftLabels"):
        distilled(recipe, cache=tmp_path, cache_top_k=5)


def test_a_number_of_classes_below_one_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="Found cache_top_k=0"):
        distilled(cache=tmp_path, cache_top_k=0)


def test_a_run_is_resumed_with_the_classes_it_was_begun_with(tmp_path):
    options = {"cache": tmp_path / "cache", "run_dir": tmp_path / "run"}
    distilled(**options, cache_top_k=5)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["cache"]["top_k"] == 5
    with pytest.raises(RunError, match="cache_top_k is 5 there and 7 now"):
        distilled(**options, cache_top_k=7, resume=True)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_of_a_committee_the_most_probable_classes_of_the_mean_are_kept(tmp_path, precision):
    recipe = {"outputs": SOFT["outputs"]}

    def run(**options):
        torch.manual_seed(0)
        committee = limbeck.Committee({"wide": Counting(model(16)), "narrow": Counting(model(12, seed=5))}, drop=0.5)
        report = distilled(recipe, committee, precision=precision, steps=6, **options)
        return weights(report), sum(each.seen for each in committee.members.values())

    whole, _ = run(cache=tmp_path / "whole", cache_encoding="float32")
    near, filling = run(cache=tmp_path / "near", cache_top_k=39)
    far, _ = run(cache=tmp_path / "far", cache_top_k=1)
    again, reading = run(cache=tmp_path / "near", cache_top_k=39)
    assert torch.equal(near, again)
    assert reading < filling
    # Features are stored in two bytes a number here, and in four there.
    assert (near - whole).norm() < 0.1 * (far - whole).norm()
