"""``limbeck plan``: look before you train."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from limbeck.cli import words
from limbeck.cli.loading import loading
from limbeck.cli.several import one_or_several
from limbeck.cli.tables import table_console
from limbeck.errors import RunError

Out = Annotated[
    Path | None, typer.Option(help="Save the plan here, to edit it and give it to 'limbeck distill --plan'.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Save it even if there is a file of that name.")]


def plan(
    file: words.JobFile = None, teacher: words.TeacherOption = None, student: words.StudentOption = None,
    data: words.DataOption = None, recipe: words.RecipeOption = None, out: Out = None, overwrite: Overwrite = False,
    start: words.StartOption = None, teacher_weights: words.TeacherWeights = None,
    teacher_normalisation: words.TeacherNormalisation = None,
    teacher_drop: words.TeacherDrop = None,
    student_weights: words.StudentWeights = None, teacher_option: words.ModelOptions = None,
    student_option: words.ModelOptions = None, data_option: words.DataOptions = None,
    batch_size: words.BatchSize = None, modules: words.Imports = None, seed: words.Seed = None,
) -> None:  # fmt: skip
    """Say how one network would be distilled into another, with a reason for every choice. Nothing is trained.

    Example: limbeck plan --teacher timm:resnet50 --student timm:vit_tiny_patch16_224 --data my_data.py:loader
    """
    from limbeck.cli.job import Job, parse_options

    if out is not None and out.exists() and not overwrite:
        raise RunError(f"'{out}' is there already, perhaps edited. Give --overwrite, or another name to --out.")
    flags = {
        "teacher": one_or_several(teacher), "student": student, "data": data, "recipe": recipe, "start": start,
        "teacher_normalisation": teacher_normalisation,
        "teacher_weights": one_or_several(teacher_weights),
        "teacher_drop": teacher_drop, "student_weights": student_weights,
        "teacher_options": parse_options(teacher_option), "student_options": parse_options(student_option),
        "data_options": parse_options(data_option),
        "batch_size": batch_size, "import": modules or None, "seed": seed,
    }  # fmt: skip
    job = Job.read(file, flags)
    with loading():
        from limbeck.planning import Pair
        from limbeck.planning.fitting import keys_for
        from limbeck.planning.starting import started
        from limbeck.randomness import seed_all

        loaded = job.load_data()
        models = job.load_models(loaded)
    seed_all(job.seed or 0)
    planned, number = job.planned_recipe, job.seed or 0
    keys = keys_for(term.loss for term in planned.features)
    with started(models[1], models[0], planned.start) as said:
        pair = Pair.look(*models, loaded.train, loaded.validation, hold=False, keys=keys, seed=number)
        made = pair.plan(planned, names=job.names).with_choices(*said)
    table_console().print(made)
    if out is not None:
        made.save(out)
        Console().print(
            f"Saved to {out}. Edit it, then: limbeck distill --plan {shlex.quote(str(out))} ...", soft_wrap=True
        )
