"""Going on with a run: only as it was begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from limbeck.errors import RunError
from limbeck.planning.caching import CacheSettings
from limbeck.planning.plan import Plan
from limbeck.recipe.recipe import Recipe, Start
from limbeck.recipe.settings import Settings
from limbeck.training.run_folder import RunFolder
from limbeck.training.trackers import AUTO, TrackerChoice

# What a recipe or plan says about itself changes no number.
_WORDS = {"name", "summary", "task", "reasons"}
# What every run finds, fills in or checks anew.
_FOUND = {"version", "recipe", "teacher", "student", "training", "teacher_sites", "student_sites", "costs", "choices"}


def resumed_plan(
    run_dir: Path,
    *,
    recipe: Recipe | None,
    plan: Plan | None,
    settings: Mapping[str, Any],
    start: Start | None = None,
) -> Plan | None:
    """The plan of the run in a folder; ``None`` if the run was stopped before there was one.

    Args:
        run_dir: folder of the run.
        recipe: the recipe given now, ``None`` for none.
        plan: the plan given now, ``None`` for none.
        settings: the training settings given now, ``None`` for those not given.
        start: the start of the student given now, ``None`` for none.

    Raises:
        RunError: if any of them is not that of the run; names each, with both values.
    """
    # Where recipes raced, the plan of the run may be that of another one than it was begun with.
    file = next(iter(RunFolder(run_dir).raced), run_dir / "plan.yaml")
    if not (run_dir / "plan.yaml").is_file():
        return None
    return as_begun(Plan.load(file), str(run_dir), recipe=recipe, plan=plan, settings=settings, start=start)


def resumed_cache(run_dir: Path, given: CacheSettings | None) -> CacheSettings | None:
    """How the run in a folder caches its teacher; as given now, if the run was stopped before it said so.

    Args:
        run_dir: folder of the run.
        given: what is said now, ``None`` for nothing. The cache may have moved.

    Raises:
        RunError: if that is not how the run was begun; names each difference.
    """
    folder = RunFolder(run_dir)
    facts = folder.description if folder.exists else {}
    if "cache" not in facts:
        return given
    begun = None if facts["cache"] is None else CacheSettings(**facts["cache"])
    if given is None or begun is None:
        if given is not None:
            raise _otherwise(str(run_dir), [f"the teacher is not cached there and in '{given.place}' now"])
        return begun
    both = [(f"cache_{key}", getattr(begun, key), getattr(given, key)) for key in ("encoding", "views", "top_k")]
    pairs = [each for each in both if each[-1] is not None]
    if changed := _said(pairs):
        raise _otherwise(str(run_dir), changed)
    return replace(begun, place=given.place)


def resumed_tracker(run_dir: Path, given: TrackerChoice) -> TrackerChoice:
    """What tracks the run in a folder: what did when it was begun, unless something else is said now.

    Args:
        run_dir: folder of the run.
        given: what is said now.
    """
    folder = RunFolder(run_dir)
    if given != AUTO or not folder.exists:
        return given
    return folder.description.get("tracker", given)


def as_begun(
    saved: Plan,
    where: str,
    *,
    recipe: Recipe | None,
    plan: Plan | None,
    settings: Mapping[str, Any],
    start: Start | None = None,
) -> Plan:
    """The plan that a training was begun with, if what is given now agrees with it.

    Args:
        saved: the plan.
        where: the training was saved, for the error.
        recipe: the recipe given now, ``None`` for none.
        plan: the plan given now, ``None`` for none.
        settings: the training settings given now, ``None`` for those not given.
        start: the start of the student given now, ``None`` for none; counts in place of the plan's.

    Raises:
        RunError: if any of them is another; names each, with both values.
    """
    changed = _changed_settings(saved.training, settings)
    changed += [] if start is None else _said([("start", saved.start, start)])
    if recipe is not None:
        changed += [f"the recipe's {key}" for key in _changed_keys(saved.recipe, recipe)]
    if plan is not None:
        plan = plan if start is None else plan.model_copy(update={"start": start})
        parts = (part for part in Plan.model_fields if part not in _FOUND)
        changed += [f"the plan's {part}" for part in parts if _content(saved, part) != _content(plan, part)]
    if changed:
        raise _otherwise(where, changed)
    return saved


def _otherwise(where: str, changed: list[str]) -> RunError:
    return RunError(
        f"A run goes on only as it was begun. Found something else than in '{where}': {'; '.join(changed)}. "
        "Leave that out, or give another run_dir (--run-dir) for a new run."
    )


def _changed_settings(saved: Settings, settings: Mapping[str, Any]) -> list[str]:
    said = {name: value for name, value in settings.items() if value is not None}
    asked = saved.given(**said)
    return _said([(name, getattr(saved, name), getattr(asked, name)) for name in said])


def _said(pairs: list[tuple[str, Any, Any]]) -> list[str]:
    """In words, what differs of names with what was and what is."""
    return [
        f"{name} is {'not given' if was is None else was} there and {now} now" for name, was, now in pairs if was != now
    ]


def _changed_keys(saved: Recipe, given: Recipe) -> list[str]:
    before, after = (each.model_dump(exclude=_WORDS) for each in (saved, given))
    return [key for key, value in before.items() if value != after[key]]


def _content(plan: Plan, part: str) -> Any:
    content = plan.model_dump(include={part})[part]
    if part != "terms":
        return content
    return [{key: value for key, value in term.items() if key != "reason"} for term in content]


def how_to_go_on(run_dir: Path | None, command: str | None, *, training: bool) -> str:
    """What is said on Ctrl-C of how to go on.

    Args:
        run_dir: folder of the run, if it has one.
        command: that resumes the run on the command line.
        training: whether it was stopped while the student was being trained.
    """
    if run_dir is None and training:
        return "Give run_dir= to be able to resume the next time."
    if run_dir is None or not (run_dir / "run.json").exists():
        return "Nothing was saved: start again with the same call."
    again = command or f"limbeck.distill(..., run_dir='{run_dir}', resume=True)"
    return f"Go on with: {again}"
