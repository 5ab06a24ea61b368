"""Which output losses a plan has: what a recipe says, in the terms of the task."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel

import limbeck
from limbeck.errors import DataError, PlanMismatch
from limbeck.planning import Pair, build
from limbeck.planning.choosing_outputs import choose_outputs, comparisons
from limbeck.planning.facts import Facts
from limbeck.planning.task import Kind, Task
from limbeck.recipe import Recipe
from tests.toys import loader, pair

CE, BCE, ERROR, OWN = "CrossEntropy", "BinaryCrossEntropy", "SquaredError", "OwnLoss"
SOFT, BINARY, NUMBERS = "SoftLabels", "BinarySoftLabels", "LogitMSE"

# Loss of the labels, loss of the teacher's answers.
LOSSES = {
    Kind.CLASSES: (CE, SOFT),
    Kind.DENSE: (CE, SOFT),
    Kind.OWN: (OWN, SOFT),
    Kind.SOFT: (CE, SOFT),
    Kind.BINARY: (BCE, BINARY),
    Kind.LABELS: (BCE, BINARY),
    Kind.REGRESSION: (ERROR, NUMBERS),
    Kind.UNLABELLED: (None, SOFT),
}
# Of labels, of the teacher's answers: the share in a recipe, with a temperature of the latter.
RECIPES = {
    "labels": (1.0, None, None),
    "penultimate": (1.0, None, None),
    "soft-labels": (0.5, 0.5, 4.0),
    "vkd": (1.0, 1.0, 1.0),
}


def facts(kind, samples=100, **more):
    classes = 1 if kind is Kind.BINARY else 3
    shape = (0, classes)
    return Facts(samples, Task(kind, "as seen", classes), shape, shape, **more)


@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_learns_labels_and_teacher_by_the_losses_of_the_task(name, kind):
    (labels, teacher), (first, second, temperature) = LOSSES[kind], RECIPES[name]
    softened = {} if teacher == NUMBERS else {"temperature": temperature}
    expected = [(labels, {}, first)] if labels else []
    expected += [(teacher, softened, second)] if second else []
    outputs, choice = choose_outputs(Recipe.load(name), facts(kind))
    assert [(term.loss.kind, term.loss.options, term.share) for term in outputs] == expected
    assert kind.value in choice.reason
    if labels is None:
        assert "without what has nothing to learn from: labels()" in choice.reason
    if second and teacher == NUMBERS:
        assert "LogitMSE has no temperature" in choice.reason


def test_losses_that_a_recipe_names_itself_stay():
    recipe = Recipe.load({"outputs": [{"loss": "CrossEntropy"}]})
    outputs, choice = choose_outputs(recipe, facts(Kind.LABELS))
    assert outputs == recipe.outputs
    assert choice.reason == recipe.reason("outputs")


def test_labels_of_several_classes_at_once_are_learnt_by_the_recipe_that_is_said():
    x = torch.randn(32, 4)
    data = DataLoader(TensorDataset(x, (x[:, :3] > 0).float()), batch_size=8)
    nets = [nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3)) for width in (16, 8)]
    plan = limbeck.plan(*nets, data, recipe="soft-labels")
    assert [(term.loss.kind, term.share) for term in plan.outputs] == [(BCE, 0.5), (BINARY, 0.5)]


def language_model(layers):
    torch.manual_seed(layers)
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=layers, n_head=2, **none))


class Bare(nn.Module):
    """A language model that takes no labels."""

    def __init__(self, layers):
        super().__init__()
        self.model = language_model(layers)

    def forward(self, input_ids):
        return self.model(input_ids).logits


@pytest.mark.parametrize("make", [language_model, Bare])
def test_a_language_model_alone_learns_what_its_own_loss_says(make):
    tokens = torch.randint(0, 50, (8, 12), generator=torch.Generator().manual_seed(0))
    data = DataLoader([{"input_ids": each, "labels": each.clone()} for each in tokens], batch_size=4)
    made = Pair.look(make(3), student := make(1), data, hold=False, show=False)
    distiller = build(made.plan(Recipe.load("labels"), show=False), student, total_steps=1)
    batch = made.batches[0]
    own = getattr(student, "model", student)(batch.inputs["input_ids"], labels=batch.targets).loss
    torch.testing.assert_close(distiller(batch, None).loss, own)
    distiller.close()


def float_labels():
    x, y = loader().dataset.tensors
    return DataLoader(TensorDataset(x, y.float()), batch_size=16)


@pytest.mark.parametrize("recipe", ["auto", "labels", "soft-labels"])
def test_labels_of_no_known_form_are_refused_where_they_are_to_be_learnt(recipe):
    said = r"Labels must be of a form.*float32 labels \(B\) for logits \(B, 4\).*adapt=.*task_loss=.*'features'"
    with pytest.raises(DataError, match=said):
        limbeck.plan(*pair(), float_labels(), recipe=recipe)


@pytest.mark.parametrize("recipe", ["auto", "labels"])
def test_labels_of_no_known_form_are_learnt_by_ones_own_loss_or_not_at_all(recipe):
    def own(logits, labels):
        return nn.functional.cross_entropy(logits, labels.long())

    options = {"steps": 2, "lr": 0.01, "check_teacher": False, "progress": False}
    report = limbeck.distill(*pair(), float_labels(), recipe=recipe, task_loss=own, **options)
    assert [term.loss.kind for term in report.plan.outputs] == ["Given"]
    report = limbeck.distill(*pair(), float_labels(), recipe="features", **options)
    assert report.plan.outputs == ()
    assert "The labels were not learnt (float32 labels (B) for logits (B, 4))" in report.verdict


def test_the_student_alone_needs_labels():
    unlabelled = DataLoader(loader().dataset.tensors[0], batch_size=16)
    with pytest.raises(PlanMismatch, match="something to learn from.*'labels'.*batches have no labels"):
        limbeck.plan(*pair(), unlabelled, recipe="labels")


def test_only_what_can_be_used_is_proposed_for_a_comparison():
    assert comparisons(facts(Kind.LABELS)) == ["soft-labels", "labels"]
    assert comparisons(facts(Kind.UNLABELLED)) == ["soft-labels"]
    assert comparisons(Facts(100, Task(Kind.CLASSES, "", 3), (0, 3), (0, 7))) == ["labels"]
    assert comparisons(Facts(100, Task(Kind.UNKNOWN, ""), None, None)) == []
