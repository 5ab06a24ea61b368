"""``limbeck distill``: train a student and write a run folder."""

from __future__ import annotations

import itertools
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


def distill(
    file: Annotated[
        Path | None, typer.Argument(metavar="[RECIPE.yaml]", help="A file with the same keys as the flags.")
    ] = None,
    teacher: TeacherOption = None,
    student: StudentOption = None,
    data: DataOption = None,
    recipe: RecipeOption = None,
    plan: Annotated[Path | None, typer.Option(help="A plan from 'limbeck plan --out', perhaps edited.")] = None,
    replan: Annotated[
        bool, typer.Option("--replan", help="Plan anew if the plan no longer fits; prints what changed.")
    ] = False,
    teacher_weights: TeacherWeights = None,
    student_weights: StudentWeights = None,
    teacher_option: ModelOptions = None,
    student_option: ModelOptions = None,
    data_option: DataOptions = None,
    batch_size: BatchSize = None,
    modules: Imports = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data; until validation stops improving if not given.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; searched over a wide grid if not given.")] = None,
    metric: Annotated[str, typer.Option(help="accuracy or negative_error.")] = "accuracy",
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps ...; chosen if not given.")] = None,
    precision: Annotated[str | None, typer.Option(help="no, bf16 or fp16; chosen by the device if not given.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Folder of the run; runs/NUMBER if not given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run in --run-dir.")] = False,
    search: Annotated[bool, typer.Option(help="Whether to search for the learning rate.")] = True,
    check_teacher: Annotated[bool, typer.Option(help="Whether to refuse a teacher at chance.")] = True,
) -> None:
    """Distil a teacher into a student; everything that is not said is chosen and reported.

    Writes plan, history, weights (safetensors) and a report into the run folder. Ctrl-C saves; --resume goes on.

    Example: limbeck distill --teacher timm:resnet34 --teacher-weights t.safetensors --student timm:resnet18
    --data imagefolder:photos
    """
    from limbeck.cli.job import Job, import_all
    from limbeck.pipeline import Options, Pipeline
    from limbeck.planning import Plan

    import_all(modules)
    job = Job.read(
        file, recipe=recipe, teacher=teacher, student=student, data=data, teacher_weights=teacher_weights,
        student_weights=student_weights, teacher_options=teacher_option, student_options=student_option,
        data_options=data_option, batch_size=batch_size,
    )  # fmt: skip
    run_dir = run_dir or _next_run()
    loaded = job.load_data(seed or 0)
    big, small = job.load_models(loaded)
    console = Console()
    settings = {"steps": steps, "epochs": epochs, "lr": lr, "seed": seed, "precision": precision}
    options = Options(
        recipe=job.recipe,
        plan=None if plan is None else Plan.load(plan),
        settings=settings,
        metric=metric,
        budget=3.0 if search else None,
        device=device,
        run_dir=run_dir,
        resume=resume,
        replan=replan,
        check_teacher=check_teacher,
        names=(job.student, job.teacher),
        sources=job.sources(loaded),
    )
    try:
        report = Pipeline(big, small, loaded.train, loaded.validation, options).run()
    except KeyboardInterrupt as stop:
        # Said here: typer ends the command on Ctrl-C without a word.
        Console(stderr=True).print(str(stop) or "Stopped.", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(130) from None
    for choice in report.plan.choices:
        if choice.name == "re-planned":
            console.print("Re-planned:", *choice.value, sep="\n  ", markup=False)
    console.print(report.verdict, markup=False)
    console.print(f"Report: {run_dir / 'report.md'}\nStudent: {run_dir / 'student.safetensors'}", soft_wrap=True)
    console.print(f"Next: limbeck export {run_dir} --to onnx", soft_wrap=True)


def _next_run() -> Path:
    return next(path for path in (Path("runs") / str(number) for number in itertools.count(1)) if not path.exists())
