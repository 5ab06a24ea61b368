"""A part is a kind with options, and says which options there are."""

import pytest

import limbeck.balancers
import limbeck.losses
import limbeck.outputs
from limbeck.errors import RecipeError
from limbeck.recipe import Part, Recipe


def test_a_kind_alone_is_a_part_wherever_a_part_may_stand():
    recipe = Recipe.load(
        {
            "mapping": "LastStages",
            "features": [{"loss": "CKA", "projector": "none"}, {"loss": "MSE", "projector": "Linear"}],
            "outputs": [{"loss": "CrossEntropy"}],
            "balancer": "TapNorm",
        }
    )
    assert (recipe.mapping.kind, recipe.balancer.kind) == ("LastStages", "TapNorm")
    assert [term.loss.kind for term in recipe.features] == ["CKA", "MSE"]
    assert recipe.features[0].projector == "none"
    assert recipe.features[1].projector == Part(kind="Linear")
    assert recipe.outputs[0].loss == Part(kind="CrossEntropy")


def test_a_part_that_is_neither_is_refused():
    with pytest.raises(RecipeError, match="'features.0.loss'.*Found 3"):
        Recipe.load({"features": [{"loss": 3}]})


@pytest.mark.parametrize("option", ["args", "kwargs", "anything"])
def test_a_part_without_options_says_so(option):
    with pytest.raises(RecipeError, match=rf"CKA has no option '{option}'\. It has none\."):
        Part(kind="CKA", **{option: 1}).build(limbeck.losses)


def test_what_the_plan_gives_is_no_option():
    with pytest.raises(RecipeError) as caught:
        Part(kind="Fixed", weight=1).build(limbeck.balancers, ["feature"])
    assert "'feature'" in str(caught.value)
    assert "groups" not in str(caught.value)
    assert "shares" not in str(caught.value)


@pytest.mark.parametrize("source", [3, None, ["auto"]])
def test_a_recipe_of_another_kind_is_refused(source):
    with pytest.raises(RecipeError, match="name of a shipped one, the path of a YAML file, or its content"):
        Recipe.load(source)


def test_a_part_of_another_family_is_told_where_it_stands():
    with pytest.raises(RecipeError, match=r"'SoftLabels' is an output loss, which stands under 'outputs'. Found it in"):
        Part(kind="SoftLabels").build(limbeck.losses)
    with pytest.raises(RecipeError, match=r"'CKA' is a loss of features.*Found it in the place of an output loss"):
        Part(kind="CKA").build(limbeck.outputs)


def test_an_unknown_part_is_told_how_many_more_there_are_and_never_a_contract():
    with pytest.raises(RecipeError, match=r"Known: 'Act.* and \d+ more. 'limbeck methods' lists all") as caught:
        Part(kind="zzz").build(limbeck.losses)
    assert "FeatureLoss" not in str(caught.value)
    with pytest.raises(RecipeError, match="'FeatureLoss' is not in limbeck.losses"):
        Part(kind="FeatureLoss").build(limbeck.losses)


REFUSED = {
    "a rate in words": (
        {"training": {"lr": "fast"}},
        r"'training\.lr' input should be a valid number.*or.*'auto'\. Found",
    ),
    "one number for a list": ({"features": 3}, r"'features' input should be a list\. Found 3"),
    "a word for a list": ({"outputs": "all"}, r"'outputs' input should be a list, or input should be 'auto'"),
    "a number for a part": ({"features": [{"projector": 3}]}, r"'features\.0\.projector'.*or input should be a kind"),
    "a key in capitals": ({"Features": 3}, r"'Features' is not a known key\. Nearest: 'features'"),
    "a reason that is none": ({"reasons": {"mapping": 3}}, r"'reasons\.mapping' input should be a valid string"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_said_in_the_words_of_a_recipe(case):
    content, said = REFUSED[case]
    with pytest.raises(RecipeError, match=said) as caught:
        Recipe.load(content)
    assert not any(word in str(caught.value) for word in ("constrained", "tuple", "literal", "instance"))
