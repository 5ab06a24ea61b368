"""A part is a kind with options, and says which options there are."""

import pytest

import limbeck.balancers
import limbeck.losses
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
