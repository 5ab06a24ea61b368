"""Plans: made, saved, edited, checked, re-made."""

import copy

import pytest
import torch
import yaml
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

import limbeck
from limbeck.batch import adapt_batch
from limbeck.errors import DataError, LimbeckError, ModelError, PlanMismatch, RecipeError, ShapeMismatch
from limbeck.links import FeatureSpec, Link
from limbeck.planning import Pair, Plan, build, check_plan, diff_plans
from limbeck.planning.fitting import choose
from limbeck.planning.term_plan import TermPlan
from limbeck.recipe import Part, Recipe, shipped_recipes
from limbeck.recipe.recipe import SHIPPED
from limbeck.teachers import Teacher
from tests.toys import conv_net, images, loader, pair


def look(teacher=None, student=None, data=None):
    teacher, student = (teacher, student) if teacher is not None else pair()
    return Pair.look(teacher, student, loader() if data is None else data, hold=False)


def test_everything_automatic_is_a_choice_with_a_reason():
    plan = look().plan(Recipe.load("auto"))
    names = {choice.name for choice in plan.choices}
    assert {
        "student sites",
        "teacher sites",
        "mapping",
        "output loss",
        "balance",
        "schedule",
        "optimizer",
        "learning rate",
    } <= names
    assert all(choice.reason for choice in plan.choices)
    assert all(term.reason for term in plan.terms)
    assert plan.costs is not None
    assert plan.costs.projector_parameters > 0


def test_a_plan_says_how_large_a_cache_would_be():
    teacher = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    student = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    data = [(torch.randn(16, 4), torch.arange(16) % 3) for _ in range(4)]
    plan = look(teacher, student, DataLoader(ConcatDataset([TensorDataset(*each) for each in data]), batch_size=16))
    costs = plan.plan(Recipe.load("auto")).costs
    # What the head reads, 32 channels of two bytes, and three logits of four.
    assert (costs.cache_bytes, costs.data_samples) == (76, 64)
    assert str(costs).endswith("would take 76 bytes for each view of a sample, 4.86 kB for one of all 64")


def test_few_labels_get_soft_labels_and_many_plain_ones():
    def outputs(count):
        plan = look(data=loader(count)).plan(Recipe.load("auto"))
        return [(term.loss.kind, term.loss.options, term.share) for term in plan.outputs]

    # T = 4, alpha = .5 below 3,000 labels, else plain labels.
    assert outputs(2999) == [("CrossEntropy", {}, 0.5), ("SoftLabels", {"temperature": 4.0}, 0.5)]
    assert outputs(3000) == [("CrossEntropy", {}, 1.0)]


def test_other_classes_leave_plain_labels_and_no_labels_leave_soft_ones():
    _, student = pair()
    plan = look(conv_net(8, classes=7), student).plan(Recipe.load("auto"))
    assert [term.loss.kind for term in plan.outputs] == ["CrossEntropy"]
    unlabelled = torch.utils.data.DataLoader(images().tensors[0], batch_size=16)
    plan = look(data=unlabelled).plan(Recipe.load("auto"))
    assert [term.loss.kind for term in plan.outputs] == ["SoftLabels"]


def test_the_article_weighs_the_mean_of_the_links_with_four_fifths():
    made = look()
    plan = made.plan(Recipe.load("article"))
    distiller = build(plan, made.student, total_steps=1)
    weights = distiller.balancer(torch.ones(len(distiller.names))).weights
    features = len(plan.terms)
    assert features > 1
    # 0.8 * mean of the links + 0.2 * (0.5 CE + 0.5 KD).
    torch.testing.assert_close(weights[:features], torch.full((features,), 0.8 / features))
    torch.testing.assert_close(weights[features:], torch.full((2,), 0.2 * 0.5))
    distiller.close()


# Those for a task run in tests/recipe, on a pair of their kind.
@pytest.mark.parametrize("name", [name for name in shipped_recipes() if not Recipe.load(name).task])
def test_every_shipped_recipe_is_short_and_runs(name):
    teacher, student = pair()
    report = limbeck.distill(
        teacher, student, loader(), recipe=name, steps=3, lr=0.01, check_teacher=False, progress=False
    )
    assert report.history.rows[-1]["step"] == 3
    source = (SHIPPED / f"{name}.yaml").read_text()
    assert len(source.splitlines()) <= 40


FINDINGS = {
    "penultimate": {"mapping": {"kind": "HeadInput"}, "outputs": [{"loss": {"kind": "CrossEntropy"}}],
                    "balancer": {"kind": "Fixed", "feature": 1, "output": 1}},
    "LSKD": {"features": [], "outputs": [{"loss": {"kind": "CrossEntropy"}, "share": 0.1},
                                         {"loss": {"kind": "StandardisedLogits", "temperature": 2}, "share": 0.9}]},
    "joint-3": {"outputs": [{"loss": {"kind": "CrossEntropy"}}],
                "balancer": {"kind": "Fixed", "feature": 3, "output": 1}},
    "joint-30": {"outputs": [{"loss": {"kind": "CrossEntropy"}}],
                 "balancer": {"kind": "Fixed", "feature": 30, "output": 1}},
    "soft labels + features-first": {
        "outputs": [{"loss": {"kind": "CrossEntropy"}, "share": 0.1},
                    {"loss": {"kind": "SoftLabels", "temperature": 2}, "share": 0.9}],
        "balancer": {"kind": "Fixed", "feature": 10, "output": 1}, "schedule": {"kind": "FeaturesFirst"}},
}  # fmt: skip


@pytest.mark.parametrize("name", FINDINGS)
def test_every_recipe_of_the_findings_can_be_written_as_a_plan(name, tmp_path):
    # Six classes, as standardised logits mean nothing on four.
    made = look(conv_net(8, classes=6), conv_net(3, classes=6))
    plan = made.plan(Recipe.load(FINDINGS[name]))
    plan.save(tmp_path / "plan.yaml")
    distiller = build(Plan.load(tmp_path / "plan.yaml"), made.student, total_steps=4)
    assert len(distiller.names) == len(plan.terms) + len(plan.outputs)
    distiller.close()


def test_a_saved_plan_is_the_same_plan(tmp_path):
    plan = look().plan(Recipe.load("auto"))
    plan.save(tmp_path / "plan.yaml")
    assert Plan.load(tmp_path / "plan.yaml") == plan
    assert "blocks" not in yaml.safe_load((tmp_path / "plan.yaml").read_text())


def test_a_plan_edited_by_hand_is_followed(tmp_path):
    made = look()
    path = tmp_path / "plan.yaml"
    made.plan(Recipe.load("auto")).save(path)
    content = yaml.safe_load(path.read_text())
    content["terms"] = [{"student": "6", "teacher": "2", "loss": {"kind": "CKA"}}]
    content["outputs"] = [{"loss": {"kind": "CrossEntropy"}}]
    path.write_text(yaml.safe_dump(content))
    report = limbeck.distill(*pair(), loader(), plan=path, steps=2, lr=0.01, check_teacher=False, progress=False)
    assert list(report.history.rows[-1]["terms"]) == ["6 <- 2", "CrossEntropy"]


def test_a_term_that_cannot_work_is_refused_with_what_would(tmp_path):
    made = look()
    plan = made.plan(Recipe.load("auto"))
    term = plan.terms[0].model_copy(update={"projector": None, "targets": ()})
    with pytest.raises(PlanMismatch, match=r"MSE between student '2' and teacher '2'.*Linear"):
        build(plan.model_copy(update={"terms": (term,)}), made.student, total_steps=1)


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (Part(kind="NST"), "NST cannot compare student '13:input' and .* at least 2 positions"),
        (Part(kind="AttentionScores", heads=5), "splits channels into 15 groups .* 4 groups would fit"),
    ],
)
def test_a_term_whose_sizes_mean_nothing_to_its_loss_is_refused_when_it_is_built(loss, reason):
    made = look()
    plan = made.plan(Recipe.load({"mapping": {"kind": "HeadInput"}, "features": [{"loss": {"kind": "MSE"}}]}))
    term = plan.terms[0].model_copy(update={"loss": loss, "projector": None, "targets": ()})
    with pytest.raises(PlanMismatch, match=reason):
        build(plan.model_copy(update={"terms": (term,)}), made.student, total_steps=1)


def test_a_changed_architecture_is_named_and_replanning_offered():
    teacher, student = pair()
    plan = look(teacher, student).plan(Recipe.load("auto"))
    batch = adapt_batch(next(iter(loader())))
    with pytest.raises(PlanMismatch, match=r"student.*channels 3.*Found 5.*replan=True"):
        check_plan(plan, conv_net(5), teacher, batch)
    shorter = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    with pytest.raises(PlanMismatch, match=r"does not fit the student.*no module.*replan=True"):
        check_plan(plan, shorter, teacher, batch)


@pytest.mark.parametrize("sites", [("12", "13:input"), ("6", "7:input"), ("7:input",), ("11",), ("10@0",)])
def test_a_plan_may_name_any_site_by_any_of_its_names(sites):
    teacher, student = pair()
    plan = look(teacher, student).plan(Recipe.load("auto"))
    terms = tuple(TermPlan(student=site, teacher="2", loss=Part(kind="CKA")) for site in sites)
    batch = adapt_batch(next(iter(loader())))
    checked = check_plan(plan.model_copy(update={"terms": terms}), student, teacher, batch)
    distiller = build(checked, student, total_steps=1)
    with Teacher(teacher, distiller.teacher_sites) as source:
        assert torch.isfinite(distiller(batch, source(batch)).loss)
    distiller.close()


def test_layouts_of_sites_that_the_plan_does_not_use_do_not_matter_to_it():
    teacher, student = pair()
    plan = look(teacher, student).plan(Recipe.load("penultimate"))
    batch = adapt_batch(next(iter(loader())))
    layouts = {"9": "BCHW", plan.terms[0].student: "BC"}
    assert check_plan(plan, student, teacher, batch, layouts=layouts).student_sites == plan.student_sites


def test_the_difference_of_plans_names_shares_targets_and_projectors():
    plan = look().plan(Recipe.load("auto"))
    first = plan.terms[0]
    assert first.projector is not None
    for change in ({"share": 7.0}, {"targets": ()}, {"projector": None}):
        changed = plan.model_copy(update={"terms": (first.model_copy(update=change), *plan.terms[1:])})
        gone, new = diff_plans(plan, changed)
        assert gone.startswith(f"- link {first.student} (")
        assert new.startswith(f"+ link {first.student} (")
        assert gone[1:] != new[1:]
    assert diff_plans(plan, plan) == []


def test_replanning_says_what_changed_and_goes_on():
    teacher, student = pair()
    plan = look(teacher, student).plan(Recipe.load("auto"))
    report = limbeck.distill(
        teacher, conv_net(5), loader(), plan=plan, replan=True, steps=2, lr=0.01, check_teacher=False, progress=False
    )
    changed = next(choice for choice in report.plan.choices if choice.name == "re-planned")
    assert any(line.startswith("- link") and "(3 channels" in line for line in changed.value)
    assert any(line.startswith("+ link") and "(5 channels" in line for line in changed.value)
    assert diff_plans(plan, plan) == []


def test_unknown_keys_and_kinds_name_the_nearest():
    with pytest.raises(RecipeError, match="Nearest: 'mapping'"):
        Recipe.load({"maping": {"kind": "SameDepth"}})
    with pytest.raises(RecipeError, match=r"features.0.projektor.*Nearest: 'projector'"):
        Recipe.load({"features": [{"projektor": "auto"}]})
    with pytest.raises(RecipeError, match="Nearest: 'SameDepth'"):
        look().plan(Recipe.load({"mapping": {"kind": "SameDeph"}}))
    with pytest.raises(RecipeError, match="SoftLabels has no option 'temprature'. Nearest: 'temperature'"):
        look().plan(Recipe.load({"outputs": [{"loss": {"kind": "SoftLabels", "temprature": 2}}]}))
    with pytest.raises(RecipeError, match="no recipe 'autoo'.*Nearest: 'auto'"):
        Recipe.load("autoo")


def test_a_class_of_ones_own_is_named_by_its_module():
    plan = look().plan(Recipe.load({"features": [{"loss": {"kind": "limbeck.losses.cosine:Cosine"}}]}))
    assert plan.terms[0].loss.kind == "limbeck.losses.cosine:Cosine"


def test_models_and_data_that_do_not_fit_are_told_apart():
    teacher, student = pair()
    with pytest.raises(ModelError, match="The student does not run"):
        look(teacher, nn.Sequential(nn.Flatten(), nn.Linear(63, 4)))
    with pytest.raises(ModelError, match="The teacher does not run"):
        look(nn.Sequential(nn.Conv2d(3, 4, 3)), student)
    with pytest.raises(DataError, match="at least one batch"):
        look(data=[])


def test_labels_out_of_range_fail_before_the_first_step():
    data = torch.utils.data.DataLoader(
        list(zip(torch.randn(32, 1, 8, 8), torch.full((32,), 9), strict=True)), batch_size=8
    )
    with pytest.raises((LimbeckError, ShapeMismatch), match="class numbers"):
        look(data=data).plan(Recipe.load("labels"))


def test_planning_leaves_both_models_as_they_were():
    teacher, student = pair()
    teacher.train()
    states = [copy.deepcopy(model.state_dict()) for model in (teacher, student)]
    look(teacher, student).plan(Recipe.load("auto"))
    for model, state in zip((teacher, student), states, strict=True):
        assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())
        assert model.training
        assert all(each.requires_grad and each.grad is None for each in model.parameters())
        assert not [module for module in model.modules() if module._forward_hooks or module._forward_pre_hooks]


def test_a_mapper_that_measures_similarity_gets_its_scores():
    plan = look().plan(Recipe.load({"mapping": {"kind": "BestMatch", "links": 3}}))
    students = [term.student for term in plan.terms]
    assert len(students) == len(set(students)) == 3


def test_as_many_positions_in_another_order_are_pooled_instead_of_compared():
    tokens = FeatureSpec("blocks.2", "BNC", channels=8, positions=16, grid=(16,))
    grid = FeatureSpec("layer2", "BCHW", channels=8, positions=16, grid=(4, 4))
    fitted = choose(Link(tokens, grid), Part(kind="MSE"))
    assert [part.kind for part in fitted.targets] == ["PoolVector", "Standardise"]


def test_a_plan_without_terms_and_outputs_has_nothing_to_learn_from():
    made = look()
    plan = made.plan(Recipe.load("auto")).model_copy(update={"terms": (), "outputs": ()})
    with pytest.raises(PlanMismatch, match="must have something to learn from. Found neither terms.*nor outputs"):
        build(plan, made.student, total_steps=1)
