import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("transformers")

from transformers import AutoModelForSequenceClassification, BatchEncoding, TrainerCallback, default_data_collator

from limbeck.errors import RecipeError, RunError
from limbeck.planning import Plan
from tests.integrations.berts import bert, sentences, trainer

ROOT = Path(__file__).parents[2]
KEYS = ("input_ids", "attention_mask")


class OwnStudent(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        self.head = nn.Linear(8, 2)

    def forward(self, input_ids, attention_mask):
        counted = attention_mask.unsqueeze(-1).float()
        return {"logits": self.head((self.body(self.words(input_ids)) * counted).sum(1) / counted.sum(1))}


class Stop(TrainerCallback):
    def on_step_end(self, _args, state, control, **_):
        control.should_training_stop = state.global_step >= 4


def same(one, other):
    # What a balancer has not measured yet is NaN.
    alike = {"rtol": 0, "atol": 0, "equal_nan": True}
    return one.keys() == other.keys() and all(torch.allclose(one[name], other[name], **alike) for name in one)


def changed(before, model):
    return any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())


def trained_by(folder, **options):
    """A trainer that was made and ran; in one go, because the Trainer sets the seed when it is made."""
    made = trainer(folder, **options)
    made.train()
    return made


def losses_of(trained):
    return [row["loss"] for row in trained.state.log_history if "loss" in row]


def test_student_and_projectors_are_trained_and_the_teacher_is_not(tmp_path):
    teacher = bert(16, 4, seed=1)
    before = copy.deepcopy(teacher.state_dict())
    trained = trainer(tmp_path, teacher=teacher)
    start = copy.deepcopy(trained.model.state_dict())
    trained.train()
    assert changed(start, trained.model)
    assert same(before, teacher.state_dict())
    projectors = [name for name, _ in trained.distiller.named_parameters() if not name.startswith("student.")]
    moved = {id(each) for group in trained.optimizer.param_groups for each in group["params"]}
    assert projectors
    assert {id(each) for each in trained.distiller.parameters() if each.requires_grad} == moved


def test_the_models_carry_no_hooks_after_training(tmp_path):
    trained = trainer(tmp_path, max_steps=2)
    trained.train()
    for model in (trained.model, trained.teacher):
        assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())


def test_every_term_and_weight_is_logged_with_the_loss(tmp_path):
    trained = trainer(tmp_path, max_steps=2)
    trained.train()
    rows = [row for row in trained.state.log_history if "loss" in row]
    assert len(rows) == 2
    named = [each for each in rows[0] if each.startswith(("term/", "weight/"))]
    assert len(named) == 2 * len(trained.distiller.names)
    total = sum(rows[0][each] * rows[0][each.replace("term/", "weight/")] for each in named if each.startswith("term/"))
    assert total == pytest.approx(rows[0]["loss"], rel=1e-4)


def test_evaluation_and_prediction_are_the_students_and_run_no_teacher(tmp_path):
    trained = trainer(tmp_path, max_steps=2)
    calls = []
    trained.train()
    trained.teacher.register_forward_hook(lambda *_: calls.append(1))
    found = trained.evaluate()
    predicted = trained.predict(sentences(12, seed=5))
    assert not calls
    rows = sentences(12, seed=5)
    batch = {key: torch.tensor([row[key] for row in rows]) for key in ("input_ids", "attention_mask", "labels")}
    with torch.no_grad():
        expected = trained.model.eval()(**batch)
    assert torch.allclose(torch.as_tensor(predicted.predictions), expected.logits, atol=1e-5)
    assert found["eval_accuracy"] == pytest.approx((expected.logits.argmax(1) == batch["labels"]).float().mean().item())
    assert "eval_loss" in found


def test_batches_of_a_collator_with_padding_are_no_dicts_and_are_taken(tmp_path):
    def collated(rows):
        return BatchEncoding(default_data_collator(rows))

    trained = trainer(tmp_path, max_steps=2, collator=collated)
    trained.train()
    assert not isinstance(collated(sentences(2)), dict)
    assert len(losses_of(trained)) == 2
    assert "eval_loss" in trained.evaluate()


def test_the_saved_student_holds_its_own_weights_only_and_loads_by_from_pretrained(tmp_path):
    trained = trainer(tmp_path, max_steps=2)
    trained.train()
    trained.save_model(str(tmp_path / "student"))
    loaded, facts = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student", output_loading_info=True)
    assert same(trained.model.state_dict(), loaded.state_dict())
    assert not facts["unexpected_keys"]
    assert not (tmp_path / "student" / "distiller.pt").exists()


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}], ids=["plain", "accumulated"])
def test_a_training_that_is_resumed_equals_an_uninterrupted_one(tmp_path, options):
    options = {"save_strategy": "steps", "save_steps": 2, "recipe": "balanced", "max_steps": 6, **options}
    whole = trainer(tmp_path / "whole", **options)
    whole.train()
    trainer(tmp_path / "cut", callbacks=[Stop()], **options).train()
    # Another start: what counts is the checkpoint.
    resumed = trainer(tmp_path / "cut", student=bert(8, 2, seed=7), **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / "checkpoint-4"))
    assert same(whole.distiller.state_dict(), resumed.distiller.state_dict())
    assert resumed.distiller.progress == 1.0
    assert whole.distiller.balancer.count.any()


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_to_the_same_student(tmp_path):
    script = f"""
import os, signal, sys
from pathlib import Path
import torch
from transformers import TrainerCallback
from tests.integrations.berts import trainer

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads({torch.get_num_threads()})  # another number of threads sums in another order
trainer(Path({str(tmp_path / "cut")!r}), callbacks=[Kill()], save_strategy="steps", save_steps=2).train()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    options = {"save_strategy": "steps", "save_steps": 2}
    whole = trainer(tmp_path / "whole", **options)
    whole.train()
    resumed = trainer(tmp_path / "cut", **options)
    resumed.train(resume_from_checkpoint=True)
    assert same(whole.distiller.state_dict(), resumed.distiller.state_dict())


def test_a_checkpoint_without_the_projectors_is_refused(tmp_path):
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    trainer(tmp_path, **options).train()
    (tmp_path / "checkpoint-2" / "distiller.pt").unlink()
    with pytest.raises(RunError, match=r"Found no distiller\.pt"):
        trainer(tmp_path, **options).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_a_training_goes_on_with_its_plan_only(tmp_path):
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    trainer(tmp_path, **options).train()
    plan = Plan.load(tmp_path / "checkpoint-2" / "plan.yaml")
    other = plan.model_copy(update={"terms": plan.terms[:1]})
    with pytest.raises(RunError, match="goes on only as it was begun"):
        trainer(tmp_path, plan=other, **options).train(resume_from_checkpoint=True)


def test_a_second_training_starts_with_projectors_that_its_optimizer_moves(tmp_path):
    trained = trainer(tmp_path, max_steps=2)
    trained.train()
    first = trained.distiller
    trained.train()
    moved = {id(each) for group in trained.optimizer.param_groups for each in group["params"]}
    assert trained.distiller is not first
    assert {id(each) for each in trained.distiller.parameters() if each.requires_grad} == moved


def test_what_stands_at_padded_positions_changes_nothing(tmp_path):
    def with_padding(word):
        rows = sentences()
        for row in rows:
            row["input_ids"] = [word if at == 0 else each for each, at in zip(*map(row.get, KEYS), strict=True)]
        return rows

    one, other = (trained_by(tmp_path / str(word), rows=with_padding(word), max_steps=3) for word in (0, 11))
    assert losses_of(one) == pytest.approx(losses_of(other), rel=1e-4)


def test_a_label_smoothing_that_would_not_be_used_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="Found label smoothing"):
        trainer(tmp_path, label_smoothing_factor=0.1)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_checkpointing_that_cuts_the_graph_is_refused(tmp_path):
    options = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}
    with pytest.raises(RecipeError, match="Found re-entrant checkpointing"):
        trainer(tmp_path, **options)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_checkpointed_activations_give_the_same_student(tmp_path):
    plain, checkpointed = (
        trained_by(tmp_path / str(option), max_steps=3, gradient_checkpointing=option) for option in (False, True)
    )
    for name, value in plain.model.state_dict().items():
        assert torch.allclose(value, checkpointed.model.state_dict()[name], atol=1e-6), name


def test_half_precision_stays_near_full_precision_and_keeps_full_weights(tmp_path):
    full, half = (trained_by(tmp_path / str(option), bf16=option) for option in (False, True))
    assert losses_of(full) != losses_of(half)
    assert losses_of(full) == pytest.approx(losses_of(half), rel=0.02)
    assert {each.dtype for each in half.distiller.parameters()} == {torch.float32}


def test_the_best_student_is_loaded_at_the_end(tmp_path):
    options = {"load_best_model_at_end": True, "metric_for_best_model": "accuracy", "learning_rate": 0.02}
    trained = trainer(tmp_path, eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2, **options)
    trained.train()
    scores = [row["eval_accuracy"] for row in trained.state.log_history if "eval_accuracy" in row]
    assert trained.evaluate()["eval_accuracy"] == max(scores)
    best = AutoModelForSequenceClassification.from_pretrained(trained.state.best_model_checkpoint)
    assert same(best.state_dict(), trained.model.state_dict())


def test_columns_that_nobody_takes_may_stay(tmp_path):
    trained = trainer(tmp_path, max_steps=2, remove_unused_columns=False)
    trained.train()
    assert trained.state.global_step == 2


def test_an_adapter_learns_and_goes_on_and_the_rest_of_the_student_does_not_move(tmp_path):
    peft = pytest.importorskip("peft")

    def adapted():
        return peft.get_peft_model(
            bert(8, 2), peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])
        )

    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6}
    whole = trainer(tmp_path / "whole", student=adapted(), **options)
    before = copy.deepcopy(whole.model.state_dict())
    whole.train()
    moved = {name for name, value in whole.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all("lora_" in name or "modules_to_save" in name for name in moved)
    assert (tmp_path / "whole" / "checkpoint-6" / "adapter_model.safetensors").exists()
    trainer(tmp_path / "cut", student=adapted(), callbacks=[Stop()], **options).train()
    resumed = trainer(tmp_path / "cut", student=adapted(), **options)
    resumed.train(resume_from_checkpoint=True)
    assert same(whole.distiller.state_dict(), resumed.distiller.state_dict())


def test_columns_that_only_the_teacher_takes_reach_it(tmp_path):
    rows = [{**row, "token_type_ids": [1] * 8} for row in sentences()]
    seen = []
    trained = trainer(tmp_path, student=OwnStudent(), rows=rows, max_steps=2, label_names=["labels"])
    trained.teacher.register_forward_pre_hook(lambda _, __, given: seen.append(given), with_kwargs=True)
    trained.train()
    assert all(bool((given["token_type_ids"] == 1).all()) for given in seen)
    assert seen


def test_a_student_that_takes_no_labels_is_evaluated_by_its_predictions(tmp_path):
    trained = trainer(tmp_path, student=OwnStudent(), max_steps=2, label_names=["labels"])
    trained.train()
    found = trained.evaluate()
    assert 0 <= found["eval_accuracy"] <= 1
    assert "eval_loss" not in found


@pytest.mark.slow
def test_two_processes_train_one_student(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        f"""
import os
import sys
sys.path.insert(0, {str(ROOT)!r})
import torch
from pathlib import Path
from tests.integrations.berts import trainer

trained = trainer(Path({str(tmp_path)!r}), max_steps=4, recipe="balanced", per_device_train_batch_size=4)
trained.train()
assert trained.args.world_size == 2
for row in (row for row in trained.state.log_history if "loss" in row):
    shares = {{each.split("/", 1)[1]: row[each] for each in row if each.startswith("weight/")}}
    total = sum(weight * row[f"term/{{name}}"] for name, weight in shares.items())
    assert abs(total - row["loss"]) < 1e-4 * abs(row["loss"]), (total, row["loss"])
torch.save(trained.distiller.state_dict(), Path({str(tmp_path)!r}) / f"{{trained.args.process_index}}.pt")
torch.distributed.barrier()
torch.distributed.destroy_process_group()
os._exit(0)  # gloo's threads may still run when the interpreter ends, which then aborts
"""
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert same(first, second)
