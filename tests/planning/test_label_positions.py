import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import limbeck
from limbeck.batch import Batch, adapt_batch, read_logits
from limbeck.planning import Plan, build
from limbeck.planning.edits import mark_edits
from limbeck.planning.label_positions import NEXT, SAME, label_positions
from limbeck.planning.task import Kind, Task

transformers = pytest.importorskip("transformers")

WORDS = 30
OF_TOKENS = Task(Kind.DENSE, "", WORDS)


def gpt2(layers=1, width=16):
    torch.manual_seed(layers)
    sizes = {"n_positions": 16, "n_embd": width, "n_layer": layers, "n_head": 2}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=WORDS, **sizes)).eval()


def llama(layers=1, width=16):
    torch.manual_seed(layers)
    sizes = {"hidden_size": width, "intermediate_size": 32, "num_hidden_layers": layers, "num_attention_heads": 2}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=WORDS, **sizes)).eval()


def tagger():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=WORDS, num_labels=WORDS, **sizes)
    return transformers.BertForTokenClassification(config).eval()


class OwnLanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.layer, self.head = nn.Embedding(WORDS, 8), nn.GRU(8, 8, batch_first=True), nn.Linear(8, WORDS)

    def forward(self, input_ids):
        return self.head(self.layer(self.words(input_ids))[0])


def texts(count=8):
    generator = torch.Generator().manual_seed(0)
    rows = []
    for index in range(count):
        words = torch.randint(1, WORDS, (10,), generator=generator)
        mask = (torch.arange(10) < 6 + index % 5).long()
        # The first two are a prompt that is not learnt.
        labels = words.where((mask == 1) & (torch.arange(10) >= 2), -100)
        rows.append({"input_ids": words * mask, "attention_mask": mask, "labels": labels})
    return rows


def loader():
    return DataLoader(texts(), batch_size=4)


@pytest.mark.parametrize("make", [gpt2, llama])
@pytest.mark.parametrize("padded_labels", [True, False], ids=["-100", "prompts only"])
def test_cross_entropy_equals_the_models_own_loss(make, padded_labels):
    batch = adapt_batch(next(iter(loader())))
    recipe = {"features": [], "outputs": [{"loss": {"kind": "CrossEntropy"}}, {"loss": {"kind": "OwnLoss"}}]}
    student = make()
    plan = limbeck.plan(make(2), student, loader(), recipe=recipe)
    assert plan.next_token
    if not padded_labels:
        batch = batch._replace(targets=batch.targets.where(batch.mask, 7))
    distiller = build(plan, student, total_steps=1).eval()
    mine, own = distiller(batch).terms.tolist()
    if padded_labels:
        assert mine == pytest.approx(own, abs=1e-6)
    else:
        # The model learns what stands at padding if its labels say so; limbeck does not.
        assert mine == pytest.approx(distiller(batch._replace(targets=loader_labels())).terms[1].item(), abs=1e-6)


def loader_labels():
    return next(iter(loader()))["labels"]


@pytest.mark.parametrize(("make", "expected"), [(gpt2, NEXT), (llama, NEXT), (tagger, SAME)])
def test_the_students_own_loss_says_which_answer_a_label_judges(make, expected):
    found = label_positions(make(), adapt_batch(next(iter(loader()))), OF_TOKENS, read_logits)
    assert found.value == expected
    assert "own loss" in found.reason


def test_labels_that_are_the_inputs_judge_the_answer_before():
    batch = adapt_batch(next(iter(loader())))
    assert label_positions(OwnLanguageModel(), batch, OF_TOKENS, read_logits).value == NEXT
    others = batch._replace(targets=(batch.targets + 1).where(batch.targets != -100, -100))
    assert label_positions(OwnLanguageModel(), others, OF_TOKENS, read_logits).value == SAME


def test_labels_of_whole_samples_have_no_position():
    batch = Batch(torch.zeros(4, 2), torch.tensor([0, 1, 2, 1]))
    assert label_positions(nn.Linear(2, 3), batch, Task(Kind.CLASSES, "", 3), read_logits) is None


def test_the_student_is_left_in_its_mode():
    student = gpt2().train()
    label_positions(student, adapt_batch(next(iter(loader()))), OF_TOKENS, read_logits)
    assert all(module.training for module in student.modules())


def test_a_plan_keeps_the_position_and_can_say_another(tmp_path):
    plan = limbeck.plan(llama(2), llama(1), loader(), recipe="features")
    plan.save(tmp_path / "plan.yaml")
    assert Plan.load(tmp_path / "plan.yaml").next_token
    assert next(each for each in plan.choices if each.name == "labels").value == NEXT
    edited = mark_edits(plan.model_copy(update={"next_token": False}))
    assert next(each for each in edited.choices if each.name == "labels").reason == "edited by hand"


def test_all_output_losses_get_the_labels_moved():
    kinds = ("CrossEntropy", "DKD", "NKD", "SoftLabels")
    recipe = {"features": [], "outputs": [{"loss": {"kind": kind}} for kind in kinds]}
    teacher, student = llama(2), llama(1)
    plan = limbeck.plan(teacher, student, loader(), recipe=recipe)
    batch = adapt_batch(next(iter(loader())))
    moved = torch.cat([batch.targets[:, 1:], torch.full((4, 1), -100)], dim=1)
    with limbeck.Teacher(teacher, plan.teacher_sites) as source:
        captured = source(batch)
        found = build(plan, student, total_steps=1).eval()(batch, captured)
        same = build(plan.model_copy(update={"next_token": False}), student, total_steps=1).eval()
        assert torch.equal(found.terms, same(batch._replace(targets=moved), captured).terms)


def test_a_student_without_a_loss_of_its_own_learns_the_next_token():
    torch.manual_seed(0)
    # Counting up: the next token is known, the token itself says nothing about a label of the same position.
    rows = [{"input_ids": (torch.arange(10) + start) % WORDS} for start in range(WORDS)]
    rows = [{**row, "labels": row["input_ids"]} for row in rows]
    data = DataLoader(rows, batch_size=10)
    teacher, student = OwnLanguageModel(), OwnLanguageModel()
    report = limbeck.distill(
        teacher, student, data, validation=data, epochs=60, lr=0.05, check_teacher=False, progress=False, device="cpu"
    )
    assert report.metric == "accuracy"
    answered = copy.deepcopy(student).eval()(rows[0]["input_ids"].unsqueeze(0)).argmax(-1)[0]
    assert (answered[:-1] == rows[0]["input_ids"][1:]).float().mean() > 0.8
