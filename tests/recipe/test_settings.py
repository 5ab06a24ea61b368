"""What is said last wins."""

import pytest
from pydantic import ValidationError

from limbeck.errors import RecipeError
from limbeck.recipe import Settings


@pytest.mark.parametrize(
    ("before", "said", "steps", "epochs"),
    [
        ({"steps": 9}, {"epochs": 2}, None, 2),
        ({"epochs": 2}, {"steps": 9}, 9, None),
        ({"steps": 9}, {"steps": 4}, 4, None),
        ({"steps": 9}, {"steps": None}, None, None),
        ({"epochs": 2}, {"steps": None}, None, 2),
        ({"steps": 9, "epochs": 2}, {"lr": 0.1}, 9, 2),
    ],
)
def test_steps_and_epochs_take_each_others_place(before, said, steps, epochs):
    found = Settings(**before).given(**said)
    assert (found.steps, found.epochs) == (steps, epochs)


def test_steps_and_epochs_together_are_refused():
    with pytest.raises(RecipeError, match="steps=3, epochs=2"):
        Settings().given(steps=3, epochs=2)


def test_what_is_given_is_checked():
    with pytest.raises(ValidationError):
        Settings().given(lr=-1)
    assert Settings(clip=1.0).given(clip=None).clip is None
