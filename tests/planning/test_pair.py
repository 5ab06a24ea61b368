"""Models and data are looked at before anything is computed with them."""

import weakref

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.batch import adapt_batch
from limbeck.capture.capture import Captured
from limbeck.errors import DataError, LimbeckError, ModelError
from limbeck.planning import Pair, build, fit_targets
from limbeck.planning.require_models import require_models
from limbeck.recipe import Recipe
from tests.toys import conv_net, images, loader, pair


def distill(teacher=None, student=None, data=None, **options):
    teacher, student = (teacher, student) if teacher is not None else pair()
    options = {"steps": 2, "lr": 0.01, "check_teacher": False, "progress": False, **options}
    return limbeck.distill(teacher, student, data or loader(), **options)


def with_labels(change, count: int = 32) -> DataLoader:
    pictures, labels = images(count).tensors
    return DataLoader(TensorDataset(pictures, change(labels)), batch_size=16)


@pytest.mark.parametrize("call", [limbeck.plan, limbeck.distill])
def test_a_model_is_not_distilled_into_itself(call):
    _, student = pair()
    with pytest.raises(ModelError, match=r"same module twice.*copy.deepcopy"):
        call(student, student, loader())
    with pytest.raises(ModelError, match="same module twice"):
        call(nn.DataParallel(student), student, loader())


def test_what_is_no_model_is_refused():
    teacher, student = pair()
    with pytest.raises(ModelError, match=r"teacher must be a torch.nn.Module. Found conv_net.*data"):
        require_models(conv_net, student)
    with pytest.raises(ModelError, match=r"student must be a torch.nn.Module. Found DataLoader"):
        require_models(teacher, loader())
    with pytest.raises(ModelError, match="Call it first"):
        require_models(teacher, nn.ReLU)


def test_validation_data_is_looked_at_before_the_first_step():
    empty = DataLoader(TensorDataset(torch.zeros(0, 1, 8, 8), torch.zeros(0)), batch_size=4)
    pictures, labels = images(32).tensors
    broken = [(torch.full_like(pictures, torch.nan), labels)]
    cases = {
        "validation data must yield at least one batch": empty,
        "validation data cannot be used: inputs must be finite": broken,
        "validation data cannot be learnt from.*from 0 to 3.*Found 255": with_labels(
            lambda each: each.where(each < 3, 255)
        ),
        r"batch of the validation data": [{"pixels": pictures, "labels": labels}],
    }
    for expected, validation in cases.items():
        teacher, student = pair()
        before = student[0].weight.clone()
        with pytest.raises(LimbeckError, match=expected):
            distill(teacher, student, validation=validation)
        assert torch.equal(student[0].weight, before)


def test_batches_too_small_for_the_losses_are_refused_by_name():
    recipe = {"features": [{"loss": {"kind": "CKA"}}]}
    with pytest.raises(DataError, match="at least 4 samples in a batch. Found 2 in the validation data"):
        distill(recipe=recipe, validation=loader(32, batch_size=2))
    with pytest.raises(DataError, match="Found 2 in the training data"):
        distill(recipe=recipe, data=loader(32, batch_size=2), validation=loader(32))


def test_a_last_small_batch_of_validation_data_is_no_reason_to_stop():
    report = distill(
        recipe={"features": [{"loss": {"kind": "CKA"}}]}, validation=loader(33, batch_size=16, shuffle=False)
    )
    assert report.evaluation.samples == 33


def test_labels_that_only_the_teacher_has_do_not_hinder_features():
    report = distill(conv_net(8, classes=9), conv_net(3), with_labels(lambda each: each + 5), recipe="features")
    assert report.history.rows


def test_plan_and_distill_count_the_same_labels():
    data = loader(3100)  # 3,000 and more are many labels; nine tenths of them would be few.
    kinds = [[term.loss.kind for term in plan.outputs] for plan in (
        limbeck.plan(*pair(), data), distill(data=data, steps=1).plan,
    )]  # fmt: skip
    assert kinds[0] == kinds[1] == ["CrossEntropy"]


def test_planning_gives_both_models_back_where_they_were():
    teacher, student = pair()
    teacher[1].eval()
    limbeck.plan(teacher, student, loader())
    assert not teacher[1].training
    assert teacher.training
    assert {each.device.type for each in teacher.parameters()} == {"cpu"}


def test_planning_runs_the_models_on_few_samples_however_large_the_batches():
    sizes = []
    teacher, student = pair()
    teacher.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    limbeck.plan(teacher, student, loader(1024, batch_size=256))
    assert max(sizes) <= 4


@pytest.mark.parametrize("name", ["auto", "by similarity"])
def test_planning_takes_at_most_three_forwards_of_the_probe_batches_for_each_model(name):
    similar = {"name": name, "mapping": {"kind": "BestMatch"}, "features": [{"loss": {"kind": "MSE"}}]}
    recipe = Recipe.load("auto") if name == "auto" else Recipe.model_validate(similar)
    made = Pair.look(*pair(), loader(64, batch_size=16), hold=False)
    work = {"teacher": 0, "student": 0}

    def adds(side):
        def add(_, inputs, output):
            work[side] += (3 if output.requires_grad else 1) * len(inputs[0])  # a backward pass is two forwards more

        return add

    for side, model in (("teacher", made.teacher), ("student", made.student)):
        model.register_forward_hook(adds(side))
    made.plan(recipe)
    assert all(0 < each <= 3 * 64 for each in work.values())


def test_statistics_are_streamed_and_equal_those_of_all_batches():
    made = Pair.look(*pair(), loader(128), hold=False)
    plan = made.plan(Recipe.load("auto"))
    distiller = build(plan, made.student, total_steps=1)
    alive = weakref.WeakSet()
    most = 0

    class Source:
        """Counts the batches whose features are still held."""

        def __init__(self, inner):
            self.inner = inner

        def __call__(self, batch) -> Captured:
            nonlocal most
            most = max(most, len(alive))
            captured = self.inner(batch)
            for each in captured.features.values():
                alive.add(each.x)
            return captured

    with limbeck.Teacher(made.teacher, plan.teacher_sites) as source:
        fit_targets(distiller, Source(source), made.batches)
        for term in distiller.terms:
            if term.fitted_targets:
                rows = torch.cat(
                    [term.targets[0](source(b).features[term.link.teacher.site]).x.flatten(0, 1) for b in made.batches]
                    if len(term.targets) > 1
                    else [source(b).features[term.link.teacher.site].x.flatten(0, 1) for b in made.batches]
                )
                torch.testing.assert_close(term.targets[-1].mean, rows.mean(0), atol=1e-5, rtol=1e-4)
    assert most <= 2 * len(plan.teacher_sites)
    distiller.close()


def test_a_batch_of_another_form_is_named():
    with pytest.raises(LimbeckError, match="does not run on the training data"):
        distill(data=[(torch.zeros(8, 3), torch.zeros(8, dtype=torch.long))], validation=loader())
    assert adapt_batch(next(iter(loader()))).size == 16


def test_what_comes_late_and_cannot_be_learnt_is_named_and_not_the_rate():
    batches = list(loader(12 * 16, shuffle=False))
    pictures, labels = batches[10]
    with pytest.raises(DataError, match="from 0 to 3.*Found 0 to 7"):
        distill(data=[*batches[:10], (pictures, labels.where(labels < 3, 7))], validation=loader(), steps=11)
    with pytest.raises(DataError, match="inputs must be finite"):
        distill(data=[*batches[:10], (pictures / 0, labels)], validation=loader(), steps=11)


def test_targets_of_all_terms_are_fitted_while_the_teacher_runs_once_on_each_batch():
    recipe = {
        "mapping": {"kind": "AllPairs"},
        "features": [
            {"loss": {"kind": "MSE"}, "targets": [{"kind": "PoolVector"}, {"kind": "PCA"}, {"kind": "Standardise"}]},
            {"loss": {"kind": "MSE"}, "targets": [{"kind": "PoolVector"}, {"kind": "Standardise"}]},
        ],
    }
    made = Pair.look(*pair(), loader(128), hold=False)
    plan = made.plan(Recipe.model_validate({"name": "two", **recipe}))
    distiller = build(plan, made.student, total_steps=1)
    asked = []
    with limbeck.Teacher(made.teacher, plan.teacher_sites) as source:
        fit_targets(distiller, lambda batch: asked.append(batch) or source(batch), made.batches)
        # A second time for the standardisation of what the PCA leaves, though there are many terms.
        assert len(asked) == 2 * len(made.batches)
        for term in distiller.terms:
            x = torch.cat([term.target(source(each).features[term.link.teacher.site]).x for each in made.batches])
            torch.testing.assert_close(x.flatten(0, 1).mean(0), torch.zeros(x.shape[-1]), atol=1e-4, rtol=0)
    distiller.close()


@pytest.mark.parametrize("similarity", ["MinibatchCKA", "RidgePredictability", "MutualKNN", "Procrustes"])
def test_planning_runs_each_model_once_on_each_probe_batch_whatever_the_number_of_sites(similarity):
    recipe = {
        "mapping": {"kind": "BestMatch"},
        "similarity": {"kind": similarity},
        "features": [{"loss": {"kind": "MSE"}}, {"loss": {"kind": "CKA"}}],
    }
    made = Pair.look(*pair(), loader(512, batch_size=64), hold=False)
    samples = {"teacher": 0, "student": 0}

    def counts(side):
        def count(_, inputs):
            samples[side] += len(inputs[0])

        return count

    for side, model in (("teacher", made.teacher), ("student", made.student)):
        model.register_forward_pre_hook(counts(side))
    made.plan(Recipe.model_validate({"name": "measured", **recipe}))
    probed = sum(batch.size for batch in made.batches)
    assert samples["teacher"] >= probed
    # The plan is tried, and its costs are measured, on a few samples more; a copy of the student counts with it.
    assert max(samples.values()) <= 1.1 * probed


class NoGradient(nn.Module):
    """Answers without a trace of its weights."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pictures):
        with torch.no_grad():
            return self.inner(pictures)


@pytest.mark.parametrize("call", [limbeck.plan, limbeck.distill])
def test_a_student_that_cannot_be_trained_is_refused(call):
    teacher, student = pair()
    with pytest.raises(ModelError, match="answers must depend on its weights.*torch.no_grad"):
        call(teacher, NoGradient(student), loader(), recipe="labels")
    with pytest.raises(ModelError, match="answers must depend on its weights"):
        call(teacher, NoGradient(student), loader())
    with pytest.raises(ModelError, match="must have weights to train.*requires_grad_"):
        call(teacher, student.requires_grad_(False), loader())


def test_a_student_with_frozen_layers_is_trained():
    teacher, student = pair()
    next(iter(student.children())).requires_grad_(False)
    assert limbeck.plan(teacher, student, loader()).costs is not None
