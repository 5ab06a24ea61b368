"""A Trainer of Lightning fits the module as any other; what comes out is what a loop by hand gives."""

import copy
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from limbeck.errors import RecipeError, RunError
from limbeck.integrations.lightning import DistillationModule
from limbeck.teachers import Committee

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")


def net(width, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3))


def loader(count=48, batch=8):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(count, 6, generator=generator)
    return DataLoader(TensorDataset(x, x[:, :3].argmax(1)), batch_size=batch)


def module(student_seed=1, teacher=None, **options):
    return DistillationModule(net(8, student_seed), teacher or net(32, 0), loader(), **{"lr": 0.01, **options})


def committee():
    return Committee({"wide": net(32, 0), "narrow": net(16, 2)}, drop=0.5)


def fitted(made, folder, *, steps=6, callbacks=(), ckpt=None, **options):
    trainer = Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, callbacks=list(callbacks), **{"enable_checkpointing": False, **options},
    )  # fmt: skip
    trainer.fit(made, loader(), loader(24), ckpt_path=ckpt)
    return trainer


def same(one, other):
    # What a balancer has not measured yet is NaN.
    alike = {"rtol": 0, "atol": 0, "equal_nan": True}
    return one.keys() == other.keys() and all(torch.allclose(one[name], other[name], **alike) for name in one)


def by_hand(made, steps):
    """The same training in a loop without Lightning."""
    distiller, source = made.distiller, made._source
    distiller.total_steps = steps
    optimizer = made.configure_optimizers()
    done = 0
    while done < steps:
        for raw in loader():
            batch = made._looked.pair.adapt(raw)
            optimizer.zero_grad()
            distiller(batch, source(batch)).loss.backward()
            optimizer.step()
            distiller.step()
            done += 1
            if done == steps:
                break
    return distiller.state_dict()


@pytest.mark.parametrize("recipe", ["auto", "balanced", "features-first"])
def test_the_trainer_gives_what_a_loop_by_hand_gives(tmp_path, recipe):
    expected = by_hand(module(recipe=recipe).train(), 8)
    made = module(recipe=recipe)
    fitted(made, tmp_path, steps=8)
    assert same(expected, made.distiller.state_dict())
    assert made.distiller.progress == 1.0


def test_the_teacher_is_neither_trained_nor_saved(tmp_path):
    teacher = net(32, 0)
    before = copy.deepcopy(teacher.state_dict())
    made = DistillationModule(net(8, 1), teacher, loader())
    fitted(made, tmp_path, enable_checkpointing=True)
    held = torch.load(next(tmp_path.rglob("*.ckpt")), weights_only=False)
    assert same(before, teacher.state_dict())
    mine = {id(each) for each in teacher.parameters()}
    assert not mine & {id(each) for each in made.parameters()}
    assert all(name.startswith("distiller.") for name in held["state_dict"])
    assert all(each.requires_grad for each in teacher.parameters())


def test_steps_of_the_schedule_are_those_of_the_optimizer(tmp_path):
    made = module(recipe="features-first")
    fitted(made, tmp_path, steps=3, accumulate_grad_batches=2)
    assert made.distiller.get_extra_state() == 3
    assert made.distiller.progress == 1.0


class _Save(Callback):
    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 6:
            trainer.save_checkpoint(self.path)


def test_a_training_that_goes_on_from_a_checkpoint_equals_an_uninterrupted_one(tmp_path):
    options = {"recipe": "balanced"}
    whole = module(**options)
    fitted(whole, tmp_path, steps=12, callbacks=[_Save(tmp_path / "half.ckpt")])
    # Another start and so another plan: what counts is the checkpoint.
    resumed = module(student_seed=9, **options)
    fitted(resumed, tmp_path, steps=12, ckpt=tmp_path / "half.ckpt")
    assert same(whole.distiller.state_dict(), resumed.distiller.state_dict())
    assert whole.distiller.balancer.count.any()


def test_a_committee_leaves_out_the_same_members_as_a_loop_by_hand_and_after_a_checkpoint(tmp_path):
    expected = by_hand(module(teacher=committee()).train(), 12)
    whole = module(teacher=committee())
    fitted(whole, tmp_path, steps=12, callbacks=[_Save(tmp_path / "half.ckpt")])
    resumed = module(student_seed=9, teacher=committee())
    fitted(resumed, tmp_path, steps=12, ckpt=tmp_path / "half.ckpt")
    assert whole.plan.committee.drop == 0.5
    assert same(expected, whole.distiller.state_dict())
    assert same(expected, resumed.distiller.state_dict())


def test_members_are_not_left_out_where_ddp_would_wait_for_them():
    made = module(teacher=committee())
    made._trainer = SimpleNamespace(strategy=SimpleNamespace(_ddp_kwargs={}))
    with pytest.raises(RecipeError, match="ddp_find_unused_parameters_true"):
        made.on_fit_start()


def test_a_checkpoint_is_gone_on_with_its_own_plan_only(tmp_path):
    fitted(module(recipe="balanced"), tmp_path, callbacks=[_Save(tmp_path / "half.ckpt")])
    with pytest.raises(RunError, match="only as it was begun"):
        fitted(module(recipe="features-first"), tmp_path, ckpt=tmp_path / "half.ckpt")


def test_validation_logs_what_the_student_gets_right(tmp_path):
    made = module()
    trainer = fitted(made, tmp_path, steps=6)
    x, y = next(iter(loader(24, 24)))
    with torch.no_grad():
        expected = (made.student(x).argmax(1) == y).float().mean()
    assert trainer.callback_metrics["val_accuracy"] == pytest.approx(float(expected))
    found = trainer.validate(made, loader(20), verbose=False)
    right = [(made.student(x).argmax(1) == y) for x, y in loader(20)]
    assert found[0]["val_accuracy"] == pytest.approx(float(torch.cat(right).float().mean()))


def test_every_term_and_weight_is_logged(tmp_path):
    made = module()
    trainer = fitted(made, tmp_path, steps=2)
    assert {"loss", "term/CrossEntropy", "weight/CrossEntropy"} <= set(trainer.callback_metrics)
    assert sum(name.startswith("term/") for name in trainer.callback_metrics) == len(made.distiller.names)


def test_prediction_runs_the_student_alone(tmp_path):
    made = module()
    trainer = fitted(made, tmp_path, steps=2)
    made.close()
    found = torch.cat(trainer.predict(made, loader(), return_predictions=True))
    with torch.no_grad():
        assert torch.equal(found, torch.cat([made.student(x) for x, _ in loader()]))
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in made.student.modules())


def test_data_without_labels_is_judged_by_the_loss(tmp_path):
    rows = DataLoader(TensorDataset(loader().dataset.tensors[0]), batch_size=8)
    made = DistillationModule(net(8, 1), net(32, 0), rows)
    trainer = Trainer(max_steps=6, accelerator="cpu", logger=False, enable_progress_bar=False,
                      enable_model_summary=False, enable_checkpointing=False)  # fmt: skip
    trainer.fit(made, rows, rows)
    assert float(trainer.callback_metrics["val_loss"]) > 0


@pytest.mark.slow
def test_two_processes_end_with_one_student(tmp_path):
    script = textwrap.dedent(f"""
        import torch
        torch.set_num_threads(1)
        from tests.integrations.test_lightning import *
        made = module(recipe="balanced", teacher=committee())
        trainer = fitted(made, {str(tmp_path)!r}, strategy="ddp_find_unused_parameters_true", devices=2)
        torch.save(made.distiller.state_dict(), {str(tmp_path)!r} + f"/{{trainer.global_rank}}.pt")
        assert trainer.world_size == 2
    """)
    file = tmp_path / "two.py"
    file.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{script}")
    done = subprocess.run([sys.executable, file], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert same(one, other)
    alone = module(recipe="balanced", teacher=committee())
    fitted(alone, tmp_path, steps=6)
    assert not same(one, alone.distiller.state_dict())
