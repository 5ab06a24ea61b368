"""One call from two modules to a report."""

import json
import os
import signal

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import limbeck
from limbeck.errors import ModelError, RecipeError, RunError, TeacherError
from limbeck.planning import Plan
from limbeck.training import Interrupted
from tests.toys import conv_net, images, loader, pair, trained


def distill(teacher=None, student=None, data=None, **options):
    teacher, student = (teacher, student) if teacher is not None else pair()
    options = {"steps": 6, "lr": 0.01, "check_teacher": False, "progress": False, **options}
    return limbeck.distill(teacher, student, data or loader(), **options)


def test_the_given_student_is_trained_in_place_and_nothing_hangs_on_it():
    teacher, student = pair()
    before = student[0].weight.clone()
    report = distill(teacher, student)
    assert report.student is student
    assert not torch.equal(student[0].weight, before)
    for model in (teacher, student):
        assert not [module for module in model.modules() if module._forward_hooks or module._forward_pre_hooks]
    assert all(each.grad is None for each in teacher.parameters())


def test_the_same_seed_gives_the_same_student_and_another_seed_another():
    def weights(seed):
        return distill(*pair(), seed=seed).student[0].weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_without_validation_a_tenth_is_held_out_and_said():
    report = distill(data=loader(100))
    choice = next(choice for choice in report.plan.choices if choice.name == "validation")
    assert choice.value == "10 samples"
    assert report.evaluation.samples == 10


def test_the_rule_and_its_triple_train_side_by_side_and_the_better_one_is_the_result():
    report = distill(lr="auto", steps=8)
    choice = next(choice for choice in report.plan.choices if choice.name == "learning rate")
    assert len(choice.candidates) == 2
    assert report.plan.training.lr == choice.value
    alone = distill(lr="auto", search=False, steps=8)
    assert str(alone.plan.training.lr) == next(iter(choice.candidates))


def test_the_rate_search_leaves_the_student_as_it_was():
    """A run that finds its rate ends exactly as a run that is given the same rate."""
    searched = distill(*pair(), lr="auto", steps=8)
    given = distill(*pair(), lr=searched.plan.training.lr, steps=8)
    assert torch.equal(searched.student[0].weight, given.student[0].weight)


def test_a_run_folder_holds_everything_and_its_student_can_be_loaded(tmp_path):
    report = distill(run_dir=tmp_path / "run")
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {
        "run.json", "recipe.yaml", "plan.yaml", "history.jsonl", "student.safetensors", "report.md", "report.json",
        "example.safetensors", "tensorboard",
    }  # fmt: skip
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "finished"
    assert json.loads((tmp_path / "run" / "report.json").read_text())["steps"] == 6
    assert Plan.load(tmp_path / "run" / "plan.yaml").training.lr == 0.01
    again = limbeck.load(tmp_path / "run", student=conv_net(3))
    assert all(torch.equal(value, report.student.state_dict()[name]) for name, value in again.state_dict().items())
    with pytest.raises(RunError, match="that a program trained. Give the module"):
        limbeck.load(tmp_path / "run")
    with pytest.raises(RunError, match="earlier run"):
        distill(run_dir=tmp_path / "run")
    with pytest.raises(RunError, match="nothing to resume"):
        distill(run_dir=tmp_path / "run", resume=True)


def test_a_device_that_is_not_used_here_is_an_error():
    with pytest.raises(RecipeError, match="cuda"):
        distill(device="cuda:7")


def test_a_damaged_or_foreign_student_is_an_error_that_names_the_file(tmp_path):
    distill(run_dir=tmp_path / "run")
    with pytest.raises(ModelError, match=r"student.safetensors must hold exactly the weights"):
        limbeck.load(tmp_path / "run", student=conv_net(5))
    file = tmp_path / "run" / "student.safetensors"
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ModelError, match=r"student.safetensors"):
        limbeck.load(tmp_path / "run", student=conv_net(3))
    file.unlink()
    with pytest.raises(RunError, match="no student yet"):
        limbeck.load(tmp_path / "run", student=conv_net(3))


def test_a_recipe_can_neither_import_nor_call_anything_but_parts():
    import sys

    for kind, expected in (
        ("this:s", "not imported"),
        ("subprocess:Popen", "subclass of FeatureLoss"),
        ("os:system", "subclass of FeatureLoss"),
        ("limbeck.outputs:CrossEntropy", "subclass of FeatureLoss"),
    ):
        with pytest.raises(RecipeError, match=expected):
            distill(recipe={"features": [{"loss": {"kind": kind, "args": ["false"]}}]})
    assert "this" not in sys.modules


def test_the_resolved_recipe_of_a_run_can_be_run_again(tmp_path):
    distill(run_dir=tmp_path / "run")
    assert limbeck.Recipe.load(tmp_path / "run" / "recipe.yaml").training.lr == 0.01


def test_a_run_folder_that_names_a_factory_runs_no_code(tmp_path):
    distill(run_dir=tmp_path / "run")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\ndef make(): ...\n")
    run = tmp_path / "run" / "run.json"
    run.write_text(json.dumps({**json.loads(run.read_text()), "student_source": f"{tmp_path / 'evil.py'}:make"}))
    with pytest.raises(RunError, match="A name in a file is never followed"):
        limbeck.load(tmp_path / "run")
    assert not (tmp_path / "ran").exists()


def test_an_interrupted_run_says_how_to_resume_and_does(tmp_path):
    class Stopping(nn.Module):
        def __init__(self, net, at):
            super().__init__()
            self.net, self.at, self.calls = net, at, 0

        def forward(self, x):
            if self.training and torch.is_grad_enabled():
                self.calls += 1
                if self.calls == self.at:
                    os.kill(os.getpid(), signal.SIGINT)
            return self.net(x)

    whole = distill(pair()[0], Stopping(pair()[1], -1), steps=12).student
    # Planning measures its costs on a copy that is called six times: the eighth call is one of the training.
    with pytest.raises(Interrupted, match="resume=True"):
        distill(pair()[0], Stopping(pair()[1], 8), steps=12, run_dir=tmp_path / "run")
    with pytest.raises(RunError, match="--resume"):
        distill(pair()[0], Stopping(pair()[1], -1), steps=12, run_dir=tmp_path / "run")
    resumed = distill(pair()[0], Stopping(conv_net(3), -1), steps=12, run_dir=tmp_path / "run", resume=True).student
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_teacher_at_chance_is_refused_and_a_trained_one_is_not():
    teacher, student = pair()
    with pytest.raises(TeacherError, match="better than chance.*check_teacher=False"):
        distill(teacher, student, data=loader(256), check_teacher=True)
    report = distill(trained(teacher), student, data=loader(256), check_teacher=True)
    assert "teacher accuracy" in {choice.name for choice in report.plan.choices}


def test_permuted_classes_are_recognised():
    teacher = trained(conv_net(8), 120)
    with torch.no_grad():
        order = torch.tensor([1, 2, 3, 0])
        teacher[13].weight.copy_(teacher[13].weight[order])
        teacher[13].bias.copy_(teacher[13].bias[order])
    with pytest.raises(TeacherError, match="another order"):
        distill(teacher, conv_net(3), data=loader(256), check_teacher=True)
    report = distill(teacher, conv_net(3), data=loader(256), check_teacher=True, recipe="features")
    assert "renamed" in next(each.reason for each in report.plan.choices if each.name == "teacher accuracy")


def test_a_task_loss_of_ones_own_takes_the_place_of_cross_entropy():
    torch.manual_seed(0)
    x = torch.randn(64, 5)
    data = DataLoader(list(zip(x, x.sum(1, keepdim=True), strict=True)), batch_size=16)
    big, small = (nn.Sequential(nn.Linear(5, n), nn.Tanh(), nn.Linear(n, 1)) for n in (16, 4))
    report = distill(
        big, small, data, steps=60, lr=0.03, task_loss=nn.functional.mse_loss, metric="negative_error", seed=3
    )
    assert "Given" in report.history.rows[-1]["terms"]
    first, *_, last = (row["terms"]["Given"] for row in report.history)
    assert last < first / 2


def test_without_labels_features_and_soft_answers_are_learnt():
    data = DataLoader(images().tensors[0], batch_size=16)
    report = distill(data=data, steps=30)
    first, *_, last = report.history.column("loss")
    assert last[1] < first[1]
    assert report.metric == "minus the loss"


def test_linked_sites_grow_alike():
    teacher, student = pair()
    report = distill(trained(teacher), student, steps=80, lr=0.02, recipe="features")
    assert report.after[-1][-1] > report.before[-1][-1]


def test_a_dict_loader_and_a_model_output_are_read():
    class Net(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.net = conv_net(width)

        def forward(self, pixels):
            return {"logits": self.net(pixels)}

    rows = [{"pixels": picture, "label": label} for picture, label in images()]
    report = distill(Net(8), Net(3), DataLoader(rows, batch_size=16))
    assert {"CrossEntropy", "SoftLabels"} <= set(report.history.rows[-1]["terms"])


def test_an_own_reader_of_batches_and_answers_is_used():
    class Odd(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.net = conv_net(width)

        def forward(self, x):
            return {"answer": self.net(x)}

    data = DataLoader([{"a": picture, "b": label} for picture, label in images()], batch_size=16)
    report = distill(
        Odd(8), Odd(3), data, adapt=lambda raw: limbeck.Batch(raw["a"], raw["b"]), output=lambda out: out["answer"]
    )
    assert "CrossEntropy" in report.history.rows[-1]["terms"]


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"lr": -1.0}, {"lr": float("nan")}, {"precision": "fp8"}, {"seed": -1}]
)
def test_settings_that_mean_nothing_are_refused_by_name(wrong):
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        distill(**wrong)
