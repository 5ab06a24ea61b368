"""``limbeck plan``: look before you train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from limbeck.cli.words import (
    BatchSize,
    DataOption,
    DataOptions,
    Imports,
    ModelOptions,
    RecipeOption,
    StudentOption,
    StudentWeights,
    TeacherOption,
    TeacherWeights,
)


def plan(
    file: Annotated[
        Path | None, typer.Argument(metavar="[JOB.yaml]", help="A file with the same keys as the flags.")
    ] = None,
    teacher: TeacherOption = None,
    student: StudentOption = None,
    data: DataOption = None,
    recipe: RecipeOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Save the plan here, to edit it and give it to 'limbeck distill --plan'.")
    ] = None,
    teacher_weights: TeacherWeights = None,
    student_weights: StudentWeights = None,
    teacher_option: ModelOptions = None,
    student_option: ModelOptions = None,
    data_option: DataOptions = None,
    batch_size: BatchSize = None,
    modules: Imports = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Say how one network would be distilled into another, with a reason for every choice. Nothing is trained.

    Example: limbeck plan --teacher timm:resnet50 --student timm:vit_tiny_patch16_224 --data my_data.py:loader
    """
    from limbeck.cli.job import Job, import_all
    from limbeck.planning import Pair
    from limbeck.training.randomness import seed_all

    import_all(modules)
    job = Job.read(
        file, recipe=recipe, teacher=teacher, student=student, data=data, teacher_weights=teacher_weights,
        student_weights=student_weights, teacher_options=teacher_option, student_options=student_option,
        data_options=data_option, batch_size=batch_size,
    )  # fmt: skip
    loaded = job.load_data(seed)
    big, small = job.load_models(loaded)
    seed_all(seed)
    pair = Pair.look(big, small, loaded.train, loaded.validation if loaded.validation is not None else (), seed=seed)
    made = pair.plan(job.recipe, names=(job.student, job.teacher))
    Console(width=None if Console().is_terminal else 160).print(made)
    if out is not None:
        made.save(out)
        Console().print(f"Saved to {out}. Edit it, then: limbeck distill --plan {out} ...")
