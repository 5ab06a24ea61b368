"""Recipes: how to distil, as data that a person can read aloud."""

from limbeck.recipe.part import Part
from limbeck.recipe.recipe import FeatureTerm, OutputTerm, Recipe, read_yaml, shipped_recipes
from limbeck.recipe.settings import Settings

__all__ = ["FeatureTerm", "OutputTerm", "Part", "Recipe", "Settings", "read_yaml", "shipped_recipes"]
