"""``limbeck cache``: what a teacher says, computed once and kept on disk."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from limbeck.cli.distill import Device, PlanOption, Precision, Replan
from limbeck.cli.loading import loading
from limbeck.cli.several import one_or_several
from limbeck.cli.words import (
    BatchSize,
    CacheEncoding,
    CacheTopK,
    CacheViews,
    DataOption,
    DataOptions,
    Imports,
    JobFile,
    ModelOptions,
    RecipeOption,
    Seed,
    StartOption,
    StudentOption,
    StudentWeights,
    TeacherDrop,
    TeacherNormalisation,
    TeacherOption,
    TeacherWeights,
)

Place = Annotated[str, typer.Argument(metavar="DIR", help="Folder of the cache, or an address that fsspec reaches.")]

cache = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@cache.callback()
def _cache() -> None:
    """Compute a teacher's features and logits once, and look at what is stored.

    'limbeck distill --cache DIR' fills a cache as it trains; build one beforehand to share it between runs.
    """


@cache.command()
def build(
    place: Place, file: JobFile = None, teacher: TeacherOption = None, student: StudentOption = None,
    data: DataOption = None, recipe: RecipeOption = None, plan: PlanOption = None, replan: Replan = None,
    start: StartOption = None, teacher_weights: TeacherWeights = None,
    teacher_normalisation: TeacherNormalisation = None, teacher_drop: TeacherDrop = None,
    student_weights: StudentWeights = None,
    teacher_option: ModelOptions = None, student_option: ModelOptions = None, data_option: DataOptions = None,
    batch_size: BatchSize = None, modules: Imports = None, seed: Seed = None, device: Device = None,
    precision: Precision = None, cache_encoding: CacheEncoding = None, cache_views: CacheViews = None,
    cache_top_k: CacheTopK = None,
) -> None:  # fmt: skip
    """Fill a cache for a pair, data and a recipe or plan; what is there already stays, so that it can be interrupted.

    The teacher runs in the precision that the training will have.
    """
    from limbeck.cli.job import Job, parse_options

    flags = {
        "teacher": one_or_several(teacher), "student": student, "data": data, "recipe": recipe,
        "plan": plan, "replan": replan,
        "teacher_normalisation": teacher_normalisation,
        "teacher_weights": one_or_several(teacher_weights),
        "teacher_drop": teacher_drop, "student_weights": student_weights,
        "teacher_options": parse_options(teacher_option), "student_options": parse_options(student_option),
        "data_options": parse_options(data_option), "batch_size": batch_size, "import": modules or None, "seed": seed,
        "device": device, "precision": precision, "cache": place, "cache_encoding": cache_encoding,
        "cache_views": cache_views, "cache_top_k": cache_top_k, "start": start,
    }  # fmt: skip
    job = Job.read(file, flags)
    with loading():
        from limbeck.pipeline import Pipeline

        loaded = job.load_data()
        models = job.load_models(loaded)
    filled = Pipeline(*models, loaded.train, loaded.validation, job.options()).fill_cache()
    for choice in filled.choices:
        if choice.name == "teacher cache":
            Console().print(f"{choice.value}: {choice.reason}", markup=False, highlight=False, soft_wrap=True)
    Console().print(
        f"Next: limbeck distill --cache {place} ... with the same models, data and recipe or plan", soft_wrap=True
    )


@cache.command()
def info(place: Place) -> None:
    """Say what a cache was computed from and how full it is."""
    _report(place, check=False)


@cache.command()
def verify(place: Place) -> None:
    """Read every row and compare it with its checksum; exit code 1 if a row is damaged."""
    if _report(place, check=True):
        raise typer.Exit(1)


def _report(place: str, *, check: bool) -> int:
    from limbeck.cache.inspecting import inspect_cache

    found = inspect_cache(place, check=check)
    facts = Table(show_header=False, title=f"Cache in {place}", title_justify="left")
    for key, value in found.origin.items():
        facts.add_row(key, str(value))
    fields = Table("field", "shape", "encoding", "rows", "of", "MB", *(["damaged"] if check else []))
    for each in found.fields:
        damaged = [str(each.damaged)] if check else []
        shape = "x".join(map(str, each.shape))
        fields.add_row(each.name, shape, each.encoding, str(each.rows), str(each.of), f"{each.megabytes:.1f}", *damaged)
    console = Console()
    console.print(facts, fields)
    total = sum(each.damaged for each in found.fields)
    if total:
        console.print(f"{total} rows are damaged. They are computed again when a training asks for them.", style="red")
    return total
