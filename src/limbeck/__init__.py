"""limbeck: feature-based knowledge distillation for any pair of PyTorch models.

Importing is free: nothing is loaded before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.api import distill, load, plan
    from limbeck.batch import Batch
    from limbeck.capture import Capture, Captured, probe
    from limbeck.deployment import deployment_costs
    from limbeck.distiller import Distiller, Term
    from limbeck.errors import LimbeckError
    from limbeck.features import Feature
    from limbeck.initialising import copy_layers
    from limbeck.links import FeatureSpec, Link, Match
    from limbeck.planning import Plan
    from limbeck.recipe import Recipe
    from limbeck.report import Report
    from limbeck.teachers import Committee, Teacher

__version__ = "0.1.0.dev0"

_HOMES = {
    "distill": "limbeck.api",
    "load": "limbeck.api",
    "plan": "limbeck.api",
    "Batch": "limbeck.batch",
    "Capture": "limbeck.capture",
    "Captured": "limbeck.capture",
    "probe": "limbeck.capture",
    "deployment_costs": "limbeck.deployment",
    "Distiller": "limbeck.distiller",
    "Term": "limbeck.distiller",
    "LimbeckError": "limbeck.errors",
    "Feature": "limbeck.features",
    "copy_layers": "limbeck.initialising",
    "FeatureSpec": "limbeck.links",
    "Link": "limbeck.links",
    "Match": "limbeck.links",
    "Plan": "limbeck.planning",
    "Recipe": "limbeck.recipe",
    "Report": "limbeck.report",
    "Committee": "limbeck.teachers",
    "Teacher": "limbeck.teachers",
}

__all__ = [
    "Batch",
    "Capture",
    "Captured",
    "Committee",
    "Distiller",
    "Feature",
    "FeatureSpec",
    "LimbeckError",
    "Link",
    "Match",
    "Plan",
    "Recipe",
    "Report",
    "Teacher",
    "Term",
    "copy_layers",
    "deployment_costs",
    "distill",
    "load",
    "plan",
    "probe",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"limbeck has no '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
