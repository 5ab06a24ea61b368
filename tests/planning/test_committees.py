"""A plan for several teachers: each mapped by itself, the share of the features divided between them."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.errors import LimbeckError, ModelError, PlanMismatch, SiteError
from limbeck.planning import Pair, build
from limbeck.planning.edits import EDITED
from limbeck.planning.saved_plan import fitting_plan
from limbeck.recipe import Recipe
from limbeck.teachers import Committee
from limbeck.teachers.committee import member_of
from tests.toys import conv_net, loader

NAMES = ("cnn", "mlp")


def mlp(classes=4):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, classes)
    )


@pytest.fixture
def teachers():
    return {"cnn": conv_net(8), "mlp": mlp()}


def links(plan, name):
    return [(term.student, term.teacher) for term in plan.terms if member_of(term.teacher) == name]


def choice(plan, name):
    return next(each for each in plan.choices if each.name == name)


@pytest.mark.parametrize("mapping", ["SameDepth", "BestMatch", "HeadInput", "AllPairs", "SameGrid"])
def test_each_member_is_mapped_as_if_it_were_alone(teachers, mapping):
    student, recipe = conv_net(3), {"mapping": {"kind": mapping}}
    plan = limbeck.plan(teachers, student, loader(), recipe=recipe)
    for name, teacher in teachers.items():
        alone = limbeck.plan(teacher, student, loader(), recipe=recipe)
        expected = [(term.student, f"{name}.{term.teacher}") for term in alone.terms]
        assert links(plan, name) == expected
        assert choice(plan, f"mapping of '{name}'").value == [f"{mine} <- {theirs}" for mine, theirs in expected]


@pytest.mark.parametrize("average", [True, False])
def test_the_features_weigh_as_much_as_with_one_teacher(average):
    recipe = Recipe.load("auto").model_copy(update={"average_links": average})
    student = conv_net(3)
    one = limbeck.plan(conv_net(8), student, loader(), recipe=recipe)
    three = limbeck.plan([conv_net(8), conv_net(6), conv_net(5)], student, loader(), recipe=recipe)
    assert len(three.terms) == 3 * len(one.terms)
    assert sum(term.share for term in three.terms) == pytest.approx(sum(term.share for term in one.terms))


def test_weights_divide_the_share(teachers):
    plan = limbeck.plan(Committee(teachers, weights={"cnn": 3.0, "mlp": 1.0}), conv_net(3), loader())
    shares = {name: {term.share for term in plan.terms if member_of(term.teacher) == name} for name in NAMES}
    assert shares == {"cnn": {0.75}, "mlp": {0.25}}
    assert choice(plan, "committee").candidates == {"cnn": 0.75, "mlp": 0.25}


def test_the_plan_names_the_members(teachers):
    plan = limbeck.plan(Committee(teachers, drop=0.5), conv_net(3), loader())
    assert plan.teacher == "cnn + mlp"
    assert plan.terms[-1].reason.startswith("teacher 'mlp'; depth")
    assert "runs nevertheless, as its answers are learnt" in choice(plan, "teacher dropping").reason
    features = limbeck.plan(Committee(teachers, drop=0.5), conv_net(3), loader(), recipe="features")
    assert "does not run" in choice(features, "teacher dropping").reason
    assert choice(plan, "committee's answer").value == ["cnn", "mlp"]
    assert choice(plan, "teacher 'mlp' sites").candidates["head"] == "mlp.5"


def test_every_link_has_a_projector_and_statistics_of_its_own(teachers):
    student = conv_net(3)
    plan = limbeck.plan(teachers, student, loader())
    distiller = build(plan, student, total_steps=1)
    parts = [(term.projector, term.targets[-1]) for term in distiller.every_term]
    assert len({id(part) for each in parts for part in each}) == 2 * len(plan.terms)


def test_a_plan_comes_back_from_its_file_as_it_was_and_unedited(teachers, tmp_path):
    student = conv_net(3)
    pair = Pair.look(Committee(teachers, drop=0.25), student, loader(), hold=False, show=False)
    plan = pair.plan(Recipe.load("auto"), show=False)
    plan.save(tmp_path / "plan.yaml")
    loaded = limbeck.Plan.load(tmp_path / "plan.yaml")
    assert loaded == plan
    assert loaded.committee is not None
    assert (loaded.committee.weights, loaded.committee.drop) == ({"cnn": 0.5, "mlp": 0.5}, 0.25)
    checked = fitting_plan(loaded, pair, layouts=None, replan=False, says=False, planning={})
    assert checked.choices == plan.choices
    assert checked.terms == plan.terms
    moved = loaded.model_copy(update={"terms": loaded.terms[:-1]})
    edited = fitting_plan(moved, pair, layouts=None, replan=False, says=False, planning={})
    assert choice(edited, "mapping of 'mlp'").reason == EDITED
    assert choice(edited, "mapping of 'cnn'") == choice(plan, "mapping of 'cnn'")


def test_a_plan_for_one_teacher_says_nothing_of_committees():
    plan = limbeck.plan(conv_net(8), conv_net(3), loader())
    assert plan.committee is None
    assert "committee" not in plan.to_yaml()


def test_a_plan_for_other_members_does_not_fit(teachers):
    student = conv_net(3)
    plan = limbeck.plan(teachers, student, loader())
    options = {"plan": plan, "steps": 1, "lr": 0.01, "check_teacher": False, "progress": False}
    with pytest.raises(PlanMismatch, match="begins with a member's name. Found 'mlp.2'"):
        limbeck.distill({"cnn": teachers["cnn"]}, student, loader(), **options)
    with pytest.raises(PlanMismatch, match="no module 'cnn.2'"):
        limbeck.distill(teachers["cnn"], student, loader(), **options)


def test_links_may_be_given_with_the_names_of_the_members(teachers):
    pairs = [["6", "cnn.6"], ["9", "mlp.2"], ["9", "cnn.9"]]
    plan = limbeck.plan(teachers, conv_net(3), loader(), recipe={"mapping": {"kind": "Explicit", "pairs": pairs}})
    assert (links(plan, "cnn"), links(plan, "mlp")) == ([("6", "cnn.6"), ("9", "cnn.9")], [("9", "mlp.2")])
    recipe = {"mapping": {"kind": "Explicit", "pairs": [["6", "layer9"]]}}
    with pytest.raises(LimbeckError, match="no site 'layer9'"):
        limbeck.plan(teachers, conv_net(3), loader(), recipe=recipe)


def test_sites_and_layouts_are_given_with_the_names_of_the_members(teachers):
    plan = limbeck.plan(
        teachers, conv_net(3), loader(), sites={"teacher": ["cnn.6", "cnn.13:input"]}, layouts={"cnn.6": "BCHW"}
    )
    assert links(plan, "mlp") == []
    assert [theirs for _, theirs in links(plan, "cnn")] == ["cnn.6", "cnn.13:input"]
    # A member whose sites are not considered still answers.
    assert choice(plan, "committee's answer").value == ["cnn", "mlp"]
    both = limbeck.plan(teachers, conv_net(3), loader(), sites={"teacher": ["*.2"]})
    assert {theirs for name in NAMES for _, theirs in links(both, name)} == {"cnn.2", "mlp.2"}
    with pytest.raises(SiteError, match="members are cnn, mlp: write 'cnn.layer3' for"):
        limbeck.plan(teachers, conv_net(3), loader(), sites={"teacher": ["layer3"]})


def test_only_members_that_answer_as_the_student_does_are_in_the_answer():
    encoder = nn.Sequential(conv_net(8)[:12])
    teachers = {"encoder": encoder, "cnn": conv_net(8), "other": mlp(classes=7)}
    pair = Pair.look(Committee(teachers), conv_net(3), loader(), hold=False, show=False)
    found = choice(pair.plan(Recipe.load("soft-labels"), show=False), "committee's answer")
    assert (found.value, found.candidates["other"], found.candidates["encoder"]) == (["cnn"], "[B, 7]", "[B, 32]")
    assert pair.facts.same_outputs
    x = pair.batches[0].inputs
    pair.teacher.eval()
    expected = teachers["cnn"].eval()(x).softmax(-1)
    torch.testing.assert_close(pair.read_output(pair.teacher(x)).softmax(-1), expected)


def test_without_a_common_answer_labels_are_learnt_and_features():
    plan = limbeck.plan({"a": mlp(classes=7), "b": mlp(classes=9)}, conv_net(3), loader())
    assert choice(plan, "committee's answer").value == "none"
    assert choice(plan, "output loss").value == "1 x CrossEntropy()"
    assert {member_of(term.teacher) for term in plan.terms} == {"a", "b"}


@pytest.mark.parametrize(
    ("targets", "what"),
    [(torch.rand(32, 3) * 5, "numbers"), ((torch.rand(32, 3) > 0.5).float(), "probabilities of a yes")],
)
def test_answers_are_joined_as_the_task_asks(targets, what):
    data = DataLoader(TensorDataset(torch.randn(32, 4), targets), batch_size=8)
    teachers = {name: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)) for name in ("a", "b")}
    student = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    pair = Pair.look(Committee(teachers), student, data, hold=False, show=False)
    found = choice(pair.plan(Recipe.load("auto"), show=False), "committee's answer")
    assert found.reason == f"mean of the {what} of the members that answer in the student's shape"
    x = torch.randn(5, 4)
    answer, (one, two) = pair.read_output(pair.teacher(x)), (each(x) for each in teachers.values())
    change = torch.sigmoid if what != "numbers" else (lambda value: value)
    torch.testing.assert_close(change(answer), (change(one) + change(two)) / 2)


def test_a_way_to_read_outputs_is_that_of_every_model():
    class Named(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return {"answer": self.model(x)}

    teachers = {"cnn": Named(conv_net(8)), "mlp": Named(mlp())}
    report = limbeck.distill(
        teachers, Named(conv_net(3)), loader(), output=lambda raw: raw["answer"], recipe="soft-labels",
        steps=2, lr=0.01, check_teacher=False, progress=False,
    )  # fmt: skip
    assert choice(report.plan, "committee's answer").value == ["cnn", "mlp"]
    assert report.teacher_score is not None


def test_a_loss_that_reads_the_teachers_head_gets_that_of_the_member(teachers):
    student = conv_net(3)
    recipe = {"features": [{"loss": "SRRL"}], "mapping": {"kind": "HeadInput"}}
    pair = Pair.look(Committee(teachers), student, loader(), hold=False, show=False)
    plan = pair.plan(Recipe.load(recipe), show=False)
    distiller = build(plan, student, total_steps=1, heads=pair.heads)
    for term, teacher in zip(distiller.every_term, teachers.values(), strict=True):
        torch.testing.assert_close(term.loss.head.weight, teacher[-1].weight)


def test_an_association_joins_the_links_of_each_member_by_itself(teachers):
    student = conv_net(3)
    recipe = {"mapping": {"kind": "AllPairs"}, "association": {"kind": "MinimumLink"}}
    plan = limbeck.plan(Committee(teachers, weights={"cnn": 0.75, "mlp": 0.25}), student, loader(), recipe=recipe)
    distiller = build(plan, student, total_steps=1)
    assert [each.member for each in distiller.terms] == ["cnn", "mlp"]
    assert distiller.balancer.shares.tolist()[:2] == [0.75, 0.25]
    assert len(set(distiller.names)) == len(distiller.names)


def test_a_member_that_does_not_run_on_the_data_is_named_with_what_to_do(teachers):
    teachers["mlp"] = nn.Sequential(nn.Flatten(), nn.Linear(100, 4))
    with pytest.raises(ModelError, match=r"member 'mlp' of the committee.*module that sees to that"):
        limbeck.plan(teachers, conv_net(3), loader())
