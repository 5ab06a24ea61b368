"""``limbeck distill``: train a student and write a run folder."""

from __future__ import annotations

import itertools
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from limbeck.cli import words
from limbeck.cli.loading import loading
from limbeck.cli.several import one_or_several

if TYPE_CHECKING:
    from limbeck.cli.job import Job

PlanOption = Annotated[Path | None, typer.Option(help="A plan from 'limbeck plan --out', perhaps edited.")]
Replan = Annotated[
    bool | None, typer.Option("--replan", help="Plan anew if the plan no longer fits; prints the changes.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="Passes over the data; with neither, until validation stops improving.")
]
Rate = Annotated[float | None, typer.Option(help="Learning rate; from the student's widths if not given.")]
MetricOption = Annotated[
    str | None, typer.Option(help="accuracy, label_accuracy or negative_error; what suits the labels if not given.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps ...; chosen if not given.")]
Precision = Annotated[str | None, typer.Option(help="no, bf16 or fp16; chosen by the device if not given.")]
CacheOption = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Keep the teacher's features here: it runs once a view of a sample."),
]
RunDir = Annotated[Path | None, typer.Option(help="Folder of the run; runs/NUMBER if not given.")]
Resume = Annotated[bool | None, typer.Option("--resume", help="Go on with the unfinished run in --run-dir.")]
Search = Annotated[
    bool | None,
    typer.Option(
        "--search/--no-search",
        help="Whether to search for rates and to race against soft labels and labels alone, where no recipe is given; "
        "yes if not given.",
    ),
]
CheckTeacher = Annotated[
    bool | None,
    typer.Option("--check-teacher/--no-check-teacher", help="Whether to refuse a teacher at chance; yes if not given."),
]

TrackerOption = Annotated[
    list[str] | None,
    typer.Option(
        help="tensorboard, wandb, mlflow, trackio or what else accelerate knows, several if repeated, or none; "
        "TensorBoard in the run folder if not given and installed."
    ),
]


def distill(
    file: words.JobFile = None, teacher: words.TeacherOption = None, student: words.StudentOption = None,
    data: words.DataOption = None, recipe: words.RecipeOption = None, plan: PlanOption = None, replan: Replan = None,
    start: words.StartOption = None, steps: Steps = None, epochs: Epochs = None, lr: Rate = None,
    run_dir: RunDir = None, resume: Resume = None,
    teacher_weights: words.TeacherWeights = None, teacher_normalisation: words.TeacherNormalisation = None,
    teacher_drop: words.TeacherDrop = None,
    student_weights: words.StudentWeights = None,
    teacher_option: words.ModelOptions = None, student_option: words.ModelOptions = None,
    data_option: words.DataOptions = None, batch_size: words.BatchSize = None, modules: words.Imports = None,
    metric: MetricOption = None, seed: words.Seed = None, device: Device = None, precision: Precision = None,
    search: Search = None, check_teacher: CheckTeacher = None, cache: CacheOption = None,
    cache_encoding: words.CacheEncoding = None, cache_views: words.CacheViews = None,
    cache_top_k: words.CacheTopK = None, tracker: TrackerOption = None,
) -> None:  # fmt: skip
    """Distil a teacher into a student; everything that is not said is chosen and reported.

    Writes plan, history, weights (safetensors) and a report into the run folder. Ctrl-C saves; --resume goes on.

    Example: limbeck distill --teacher timm:resnet34 --teacher-weights t.safetensors --student timm:resnet18
    --data imagefolder:photos
    """
    from limbeck.cli.job import Job, parse_options

    flags = {
        "teacher": one_or_several(teacher), "student": student, "data": data, "recipe": recipe,
        "plan": plan, "replan": replan,
        "start": start, "steps": steps, "epochs": epochs, "lr": lr, "run_dir": run_dir, "resume": resume,
        "teacher_normalisation": teacher_normalisation,
        "teacher_weights": one_or_several(teacher_weights),
        "teacher_drop": teacher_drop, "student_weights": student_weights,
        "teacher_options": parse_options(teacher_option), "student_options": parse_options(student_option),
        "data_options": parse_options(data_option), "batch_size": batch_size, "import": modules or None,
        "metric": metric, "seed": seed, "device": device, "precision": precision, "search": search,
        "check_teacher": check_teacher, "cache": cache, "cache_encoding": cache_encoding, "cache_views": cache_views,
        "cache_top_k": cache_top_k, "tracker": tracker or None,
    }  # fmt: skip
    _run(Job.read(file, flags))


def _run(job: Job) -> None:
    with loading():
        from limbeck.pipeline import Pipeline

        loaded = job.load_data()
        teacher, student = job.load_models(loaded)
    run_dir = job.run_dir or (None if job.resume else _next_run())
    options = job.options(
        metric=job.metric,
        budget=3.0 if job.search else None,
        run_dir=run_dir,
        resume=job.resume,
        check_teacher=job.check_teacher,
        tracker=job.tracker,
        names=job.names,
        sources=job.sources(loaded),
        command=_resuming(job, run_dir),
    )
    report = Pipeline(teacher, student, loaded.train, loaded.validation, options).run()
    console = Console()
    console.print(report.verdict, markup=False)
    console.print(f"Report: {run_dir}/report.md\nStudent: {run_dir}/student.safetensors", soft_wrap=True)
    console.print(f"Next: {_exporting(job, run_dir)}", markup=False, highlight=False, soft_wrap=True)


def _resuming(job: Job, run_dir: Path | None) -> str:
    """The command that goes on with the run, as it is typed."""
    words = sys.argv[1:]
    words += [] if job.run_dir is not None else ["--run-dir", str(run_dir)]
    words += [] if job.resume else ["--resume"]
    return shlex.join(["limbeck", *words])


def _exporting(job: Job, run_dir: Path | None) -> str:
    """The command that exports the student; a run folder's factory is only called if it is named anew."""
    from limbeck.sources.rebuild import builds_safely

    named = [] if builds_safely(job.student) else ["--student", job.student]
    return shlex.join(["limbeck", "export", str(run_dir), "--to", "onnx", *named])


def _next_run() -> Path:
    """The first of runs/1, runs/2, ... with nothing in it, as a run stopped before it began leaves an empty folder."""
    numbered = (Path("runs") / str(number) for number in itertools.count(1))
    return next(path for path in numbered if not path.exists() or (path.is_dir() and not any(path.iterdir())))
