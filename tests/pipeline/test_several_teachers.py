"""Several teachers teach one student, live and cached, with members left out, resumed to the last bit."""

import os
import signal

import pytest
import timm
import torch
from torch import nn

import limbeck
from limbeck.distiller import Dropping
from limbeck.sources import load_data
from limbeck.teachers import Committee
from limbeck.training import Interrupted
from limbeck.training.metrics import METRICS
from tests.toys import Counting, conv_net, loader, trained

OPTIONS = {"lr": 0.01, "check_teacher": False, "progress": False}


def networks():
    torch.manual_seed(3)
    return {"wide": conv_net(8), "narrow": conv_net(5)}, conv_net(3)


def weights(model):
    return {name: each.clone() for name, each in model.state_dict().items()}


def choice(report, name):
    return next(each for each in report.plan.choices if each.name == name)


def test_a_list_is_enough():
    torch.manual_seed(0)
    first, second = trained(conv_net(8)), trained(conv_net(6))
    before = weights(first), weights(second)
    report = limbeck.distill([first, second], conv_net(3), loader(), steps=30, lr=0.01, progress=False)
    assert report.teacher_score > 0.8
    assert choice(report, "teacher accuracy").value > 0.8
    assert "Sequential_1 + Sequential_2" in report.to_markdown()
    terms = report.history.rows
    for name, start in terms[0]["terms"].items():
        assert name == "CrossEntropy" or terms[-1]["terms"][name] < start, name
    for model, was in zip((first, second), before, strict=True):
        assert all(torch.equal(each, was[name]) for name, each in model.state_dict().items())


def test_with_the_rate_searched_and_others_racing_a_committee_teaches_too():
    teachers, student = networks()
    report = limbeck.distill(
        Committee(teachers, drop=0.5), student, loader(), epochs=2, budget=1.0, check_teacher=False, progress=False
    )
    assert isinstance(report.plan.training.lr, float)


class Stopping:
    """A metric during which Ctrl-C is pressed at one look."""

    def __init__(self, at):
        self.looks, self.at = 0, at

    def __call__(self, logits, targets):
        self.looks += 1
        if self.looks == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return METRICS["accuracy"](logits, targets)


@pytest.mark.parametrize("recipe", ["features", "auto"])
def test_a_resumed_run_with_members_left_out_equals_an_uninterrupted_one(tmp_path, recipe):
    recipe = {"name": recipe, "training": {"evaluations": 4}, **({"outputs": []} if recipe == "features" else {})}

    def run(folder, **more):
        teachers, student = networks()
        options = {**OPTIONS, "recipe": recipe, "steps": 24, "run_dir": folder, **more}
        return limbeck.distill(Committee(teachers, drop=0.5), student, loader(), **options)

    whole = run(tmp_path / "whole", metric=Stopping(0))
    with pytest.raises(Interrupted):
        run(tmp_path / "stopped", metric=Stopping(2))
    resumed = run(tmp_path / "stopped", resume=True, metric=Stopping(0))
    one, other = weights(whole.student), weights(resumed.student)
    assert all(torch.equal(one[name], other[name]) for name in one)
    dropping = Dropping(("wide", "narrow"), 0.5, seed=0)
    for row in resumed.history.rows:
        factors = dict(zip(dropping.members, dropping.factors(row["step"] - 1), strict=True))
        for name, weight in row["weights"].items():
            if " <- " in name:
                member = name.split(" <- ")[1].partition(".")[0]
                assert weight == pytest.approx(10 * 0.5 * factors[member])


def test_a_member_does_not_run_in_the_steps_that_leave_it_out():
    teachers, student = networks()
    last, seen = Counting(teachers["narrow"]), []
    options = {**OPTIONS, "recipe": {"outputs": [{"loss": {"kind": "CrossEntropy"}}]}, "validation": loader(16)}
    for drop in (0.0, 0.9):
        last.seen = 0
        committee = Committee({"wide": teachers["wide"], "narrow": last}, drop=drop)
        limbeck.distill(committee, student, loader(), steps=60, **options)
        seen.append(last.seen)
    stays = sum(Dropping(("wide", "narrow"), 0.9).factors(step)[1] > 0 for step in range(60))
    assert 20 < stays < 40
    # In batches of 16. Of the last member, as the checks of types in these tests let the first one run in every step.
    assert seen[0] - seen[1] == 16 * (60 - stays)


def test_a_cached_committee_gives_the_same_student_and_runs_once(tmp_path):
    def run(**more):
        teachers, student = networks()
        counted = Committee({name: Counting(each) for name, each in teachers.items()}, drop=0.4)
        report = limbeck.distill(counted, student, loader(), **{**OPTIONS, "steps": 30, "recipe": "auto", **more})
        return weights(report.student), sum(each.seen for each in counted.members.values())

    live, runs = run()
    options = {"cache": tmp_path / "cache", "cache_encoding": "float32"}
    cached, filling = run(**options)
    again, reading = run(**options)
    assert all(torch.equal(cached[name], again[name]) for name in cached)
    assert all(torch.allclose(live[name].float(), cached[name].float(), atol=1e-3) for name in live)
    # What is left are the look at the models, the plan, its costs, and the check of stored rows.
    assert reading < filling < runs


def test_a_cache_of_other_weights_is_refused(tmp_path):
    def run(parts):
        teachers, student = networks()
        committee = Committee(teachers, weights=parts)
        limbeck.distill(committee, student, loader(), **OPTIONS, steps=2, cache=tmp_path / "cache")

    run([0.5, 0.5])
    with pytest.raises(limbeck.LimbeckError, match="the teacher's weights"):
        run([0.9, 0.1])


@pytest.mark.slow
def test_a_convolutional_network_and_a_vision_transformer_teach_a_small_student_digits():
    data = load_data("digits", batch_size=64)
    torch.manual_seed(0)
    cnn = timm.create_model("resnet10t", num_classes=10, in_chans=1)
    vit = timm.models.vision_transformer.VisionTransformer(
        img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=48, depth=3, num_heads=3
    )
    for model in (cnn, vit):
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        for _ in range(4 if model is cnn else 10):
            for images, labels in data.train:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images), labels).backward()
                optimizer.step()
        model.eval()
    report = limbeck.distill(
        Committee({"cnn": cnn, "vit": vit}, drop=0.3), conv_net(4, classes=10), data.train,
        validation=data.validation, steps=120, lr=0.01, progress=False,
    )  # fmt: skip
    members = {term.teacher.partition(".")[0] for term in report.plan.terms}
    assert members == {"cnn", "vit"}
    assert choice(report, "committee's answer").value == ["cnn", "vit"]
    assert report.teacher_score > 0.85
    assert report.evaluation.metric > 0.6
    # The student came closer to both: the similarity of what is linked rose on the whole.
    before, after = (torch.tensor(each).mean() for each in (report.before, report.after))
    assert after > before
