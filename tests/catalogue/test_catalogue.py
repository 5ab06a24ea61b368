"""The catalogue says of every class what the class says of itself."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from limbeck.catalogue import FAMILIES, catalogue_page, methods
from limbeck.cli.app import app
from limbeck.errors import RecipeError

DOCS = Path(__file__).parents[2] / "docs"


def test_every_class_of_every_family_is_listed_once():
    found = [(each.family, each.name) for each in methods()]
    expected = {(family, name) for family, module in FAMILIES.items() for name in module.__all__[:-1]}
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("family", "least"),
    [
        ("losses", 20),
        ("outputs", 10),
        ("associations", 7),
        ("projectors", 8),
        ("targets", 6),
        ("balancers", 8),
        ("schedules", 7),
        ("similarity", 4),
    ],
)
def test_the_field_is_covered(family, least):
    assert len(methods(family)) >= least


def test_needs_are_those_that_the_class_declares():
    (crd,) = methods("losses", "CRD")
    assert "sample keys" in crd.needs
    (mse,) = methods("losses", "MSE")
    assert mse.needs == ("equal channels", "equal positions")
    assert mse.paper == "https://arxiv.org/abs/1412.6550"


def test_sizes_are_counted_on_a_built_one():
    (vid,) = methods("losses", "VID")
    assert vid.parameters == 576  # one log-variance a channel of the teacher
    (linear,) = methods("projectors", "Linear")
    assert linear.parameters == 144 * 576 + 576
    assert linear.multiplications == pytest.approx(16 * 64 * 144 * 576 / 1e6, rel=1e-3)


def test_a_misspelt_family_or_method_names_the_nearest():
    with pytest.raises(RecipeError, match="losses"):
        methods("loss")
    with pytest.raises(RecipeError, match="Cosine"):
        methods("losses", "Cosin")


def test_command_prints_a_list_of_objects():
    result = CliRunner().invoke(app, ["methods", "outputs", "--json"])
    assert result.exit_code == 0
    listed = json.loads(result.output)
    assert {"family", "name", "paper", "needs"} <= set(listed[0])
    assert "SoftLabels" in {each["name"] for each in listed}


def test_command_explains_one():
    result = CliRunner().invoke(app, ["methods", "losses", "SimilarityPreserving"])
    assert result.exit_code == 0
    assert "1907.09682" in result.output


def test_the_page_in_the_docs_is_up_to_date():
    page = (DOCS / "reference" / "catalogue.md").read_text(encoding="utf-8")
    assert page.rstrip() == catalogue_page().rstrip(), "limbeck methods --markdown > docs/reference/catalogue.md"
