"""Several teachers as one: what they are called, what they answer, and which of them run."""

import math

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

import limbeck
from limbeck.batch import Batch, call
from limbeck.cache.identity import weights_hash
from limbeck.errors import ModelError, SiteError
from limbeck.links import FeatureSpec
from limbeck.teachers import Committee, Teacher
from limbeck.teachers.committee import member_of, of_member, within_member
from limbeck.teachers.mean_answers import mean_numbers, mean_probabilities, mean_yes_or_no
from limbeck.testing import check_feature_source
from tests.toys import Counting, conv_net


def mlp(width, classes=3):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, classes))


SITES = [FeatureSpec("wide.1", "BC", 8), FeatureSpec("deep.1", "BC", 16), FeatureSpec("deep.2:input", "BC", 16)]


def committee(**options):
    torch.manual_seed(1)
    return Committee({"wide": mlp(8), "deep": mlp(16)}, **options)


def test_members_are_called_by_their_classes_with_numbers_where_they_share_one():
    found = Committee([nn.Linear(4, 3), mlp(8), mlp(16)])
    assert list(found.members) == ["Linear", "Sequential_1", "Sequential_2"]
    assert found.weights == (1 / 3, 1 / 3, 1 / 3)


@pytest.mark.parametrize("site", ["layer.1", ":input", "", "[1]", "@2", ":input@1[0]", "a.b:input"])
def test_a_site_finds_its_way_to_the_member_and_back(site):
    full = of_member("one", site)
    assert (member_of(full), within_member(full)) == ("one", site)


@pytest.mark.parametrize(
    ("teachers", "options", "said"),
    [
        ([], {}, "at least one teacher"),
        ([Committee([nn.Linear(2, 2)])], {}, "Found a committee"),
        ([nn.Linear(2, 2)] * 2, {}, "Found 1 among 2"),
        ({"train": nn.Linear(2, 2)}, {}, "'train', which"),
        ({"a.b": nn.Linear(2, 2)}, {}, "'a.b', which"),
        ([nn.Linear(2, 2)], {"drop": 1.5}, "drop=1.5"),
        ([nn.Linear(2, 2), nn.ReLU()], {"weights": [1.0]}, "Linear, ReLU. Found \\[1.0\\]"),
        ([nn.Linear(2, 2), nn.ReLU()], {"weights": [1.0, 0.0]}, "above 0"),
        ({"a": nn.Linear(2, 2)}, {"weights": {"b": 1.0}}, "above 0: a"),
    ],
)
def test_what_is_no_committee_is_refused_with_what_to_do(teachers, options, said):
    with pytest.raises(ModelError, match=said):
        Committee(teachers, **options)


def test_the_answer_is_the_weighted_mean_of_probabilities():
    both, x = committee(weights={"deep": 3.0, "wide": 1.0}), torch.randn(5, 4)
    # By hand, one sample and class at a time.
    rows = []
    for one, other in zip(both.wide(x).tolist(), both.deep(x).tolist(), strict=True):
        mine, theirs = ([math.exp(each) for each in row] for row in (one, other))
        rows.append([0.25 * a / sum(mine) + 0.75 * b / sum(theirs) for a, b in zip(mine, theirs, strict=True)])
    torch.testing.assert_close(both(x).logits.softmax(-1), torch.tensor(rows))


def test_the_gradient_of_a_divergence_from_the_mean_is_the_mean_of_the_members():
    teachers, weights = [torch.randn(6, 3), 5 * torch.randn(6, 3)], torch.tensor([0.3, 0.7])
    student = torch.randn(6, 3, requires_grad=True)

    def divergence(teacher):
        return nn.functional.kl_div(student.log_softmax(-1), teacher.softmax(-1), reduction="batchmean")

    (one,) = torch.autograd.grad(divergence(mean_probabilities(teachers, weights)), student)
    each = sum(weight * divergence(teacher) for weight, teacher in zip(weights, teachers, strict=True))
    torch.testing.assert_close(one, torch.autograd.grad(each, student)[0])


def test_classes_of_pixels_stand_on_the_second_axis():
    maps, weights = [torch.randn(2, 5, 3, 3) for _ in range(2)], torch.tensor([0.5, 0.5])
    expected = 0.5 * maps[0].softmax(1) + 0.5 * maps[1].softmax(1)
    torch.testing.assert_close(mean_probabilities(maps, weights).softmax(1), expected)


def test_labels_and_numbers_have_means_of_their_own():
    answers, weights = [torch.randn(4, 3) for _ in range(2)], torch.tensor([0.2, 0.8])
    expected = 0.2 * answers[0].sigmoid() + 0.8 * answers[1].sigmoid()
    torch.testing.assert_close(mean_yes_or_no(answers, weights).sigmoid(), expected)
    torch.testing.assert_close(mean_numbers(answers, weights), 0.2 * answers[0] + 0.8 * answers[1])


def test_the_mean_of_very_sure_answers_is_finite():
    sure = [torch.tensor([[1e4, -1e4]]), torch.tensor([[-1e4, 1e4]])]
    for mean in (mean_probabilities, mean_yes_or_no):
        assert torch.isfinite(mean(sure, torch.tensor([0.5, 0.5]))).all()


def test_members_that_answer_in_other_shapes_have_no_common_answer():
    assert Committee([mlp(8), nn.Linear(4, 7)])(torch.zeros(2, 4)).logits is None


def test_of_inputs_by_name_each_member_gets_what_it_takes():
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    bert = BertForSequenceClassification(BertConfig(vocab_size=20, num_labels=3, **sizes)).eval()

    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.EmbeddingBag(20, 3)

        def forward(self, input_ids):
            return self.table(input_ids)

    both = Committee({"bert": bert, "bag": Bag()})
    inputs = {"input_ids": torch.randint(0, 20, (2, 5)), "attention_mask": torch.ones(2, 5, dtype=torch.long)}
    expected = 0.5 * bert(**inputs).logits.softmax(-1) + 0.5 * both.bag(inputs["input_ids"]).softmax(-1)
    torch.testing.assert_close(call(both, inputs).logits.softmax(-1), expected)


def test_a_member_that_overwrites_its_input_does_not_spoil_that_of_the_next():
    class Spoils(nn.Module):
        def forward(self, x):
            return x.zero_()[:, :3]

    second, x = mlp(8), torch.randn(3, 4)
    both = Committee({"first": Spoils(), "second": second})
    torch.testing.assert_close(both(x).members[1], second(x))
    site = FeatureSpec("second.0", "BC", 8)
    with Teacher(both, [site]) as source:
        torch.testing.assert_close(source(Batch(x)).features["second.0"].x[:, 0], second[0](x))


def test_a_committee_keeps_what_a_source_of_features_promises():
    both = committee()
    for answers in (True, False):
        with Teacher(both, SITES, answers=answers) as source:
            check_feature_source(
                source, Batch(torch.randn(6, 4)), sites=[each.site for each in SITES], model=both.eval()
            )


def test_features_are_those_of_each_member_alone_and_its_hooks_go():
    both, batch = committee(), Batch(torch.randn(6, 4))
    with Teacher(both, SITES) as source:
        captured = source(batch)
    alone = Teacher(both.deep, [FeatureSpec("1", "BC", 16)])(batch)
    torch.testing.assert_close(captured.features["deep.1"].x, alone.features["1"].x)
    torch.testing.assert_close(captured.output.logits, both(batch.inputs).logits)
    assert [len(each._forward_hooks) for each in both.wide.modules()] == [0, 0, 0, 0]


def test_in_a_step_a_member_runs_when_it_is_asked_for_and_only_once():
    wide, deep = (Counting(mlp(width)) for width in (8, 16))
    both, sites = Committee({"wide": wide, "deep": deep}), ["wide.model.1", "deep.model.1"]
    specs = [FeatureSpec(site, "BC", width) for site, width in zip(sites, (8, 16), strict=True)]
    with Teacher(both, specs, answers=False) as source:
        captured = source(Batch(torch.randn(6, 4)))
        assert (wide.seen, deep.seen) == (0, 0)
        assert captured.features[sites[1]].x is captured.features[sites[1]].x
        assert not captured.features[sites[1]].x.requires_grad
        assert (wide.seen, deep.seen) == (0, 6)
        with torch.no_grad():
            source(Batch(torch.randn(6, 4)))
        assert (wide.seen, deep.seen) == (6, 12)


def test_the_student_may_overwrite_its_inputs_before_a_member_runs():
    both, x = committee(), torch.randn(6, 4)
    expected = both.wide[:2](x)
    with Teacher(both, SITES, answers=False) as source:
        captured = source(Batch(x))
        x.zero_()
        torch.testing.assert_close(captured.features["wide.1"].x[:, 0], expected)


def test_each_member_ends_behind_its_own_last_site_and_one_without_sites_does_not_run():
    runs = []
    first, second, third = mlp(8), mlp(8), mlp(8)
    for name, each in (("first", first), ("second", second), ("third", third)):
        each[2].register_forward_hook(lambda *_, name=name: runs.append(name))
    both = Committee({"first": first, "second": second, "third": third})
    sites = [FeatureSpec("first.1", "BC", 8), FeatureSpec("second.2", "BC", 3)]
    with torch.no_grad(), Teacher(both, sites, answers=False) as source:
        source(Batch(torch.randn(6, 4)))
        runs.clear()
        source(Batch(torch.randn(6, 4)))
        assert runs == ["second"]
        assert "'second': none of its modules begins behind the last site" in str(source.why_not_stopped)


def test_a_site_of_no_member_is_named_and_leaves_no_hook():
    both = committee()
    with pytest.raises(SiteError, match="begins with a member's name. Found 'layer1'"):
        Teacher(both, [FeatureSpec("layer1", "BC", 8)])
    with pytest.raises(SiteError, match="no module '7'"):
        Teacher(both, [FeatureSpec("wide.1", "BC", 8), FeatureSpec("deep.7", "BC", 8)])
    assert not any(len(each._forward_hooks) for each in both.modules())


def test_other_weights_are_another_teacher_to_a_cache():
    assert weights_hash(committee(weights=[1.0, 2.0])) != weights_hash(committee(weights=[2.0, 1.0]))
    assert weights_hash(committee()) == weights_hash(committee())


def test_a_student_takes_no_layers_of_a_committee_and_is_no_member_of_it():
    student = conv_net(2)
    with pytest.raises(ModelError, match="one teacher. Found a committee of big"):
        limbeck.copy_layers(student, Committee({"big": conv_net(2)}))
    with pytest.raises(ModelError, match="cannot be a member"):
        limbeck.plan([student, conv_net(4)], student, [])
