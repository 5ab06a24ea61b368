"""The catalogue says of every class what the class says of itself."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import limbeck.catalogue.method
from limbeck.catalogue import FAMILIES, catalogue_page, methods
from limbeck.cli.app import app
from limbeck.errors import RecipeError

ROOT = Path(__file__).parents[2]
PAGE, CHANGELOG = ROOT / "docs" / "reference" / "catalogue.md", ROOT / "CHANGELOG.md"


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


def test_the_list_counts_no_multiplications(monkeypatch):
    monkeypatch.setattr(limbeck.catalogue.method, "multiplications", None)  # calling it would fail
    result = CliRunner().invoke(app, ["methods", "losses"])
    assert result.exit_code == 0
    assert "SimilarityPreserving" in result.output


def entries(page: str) -> dict[tuple[str, str], str]:
    """What a page says of each method of each family, and under no name what stands before its first."""
    found = {}
    for family in re.split(r"^##? ", page, flags=re.MULTILINE)[1:]:
        title, *named = re.split(r"^### ", family, flags=re.MULTILINE)
        key = title.partition("\n")[0]
        found[key, ""] = title.strip()
        found |= {(key, each.partition("\n")[0]): each.strip() for each in named}
    return found


def test_the_page_in_the_docs_says_of_every_method_what_its_class_says():
    page, now = entries(PAGE.read_text(encoding="utf-8")), entries(catalogue_page())
    assert page == {key: now.get(key) for key in page}, "limbeck methods --markdown > docs/reference/catalogue.md"


def test_what_is_not_on_the_page_yet_is_announced_as_unreleased():
    new = entries(catalogue_page()).keys() - entries(PAGE.read_text(encoding="utf-8")).keys()
    unreleased = CHANGELOG.read_text(encoding="utf-8").partition("## Unreleased")[2].partition("\n## ")[0]
    assert not [key for key in new if f"`{key[1]}`" not in unreleased]
