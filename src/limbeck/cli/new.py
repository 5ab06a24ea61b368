"""``limbeck new``: a job file to start from."""

from __future__ import annotations

import copy
import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from limbeck.cli import words
from limbeck.cli.loading import loading
from limbeck.cli.several import one_or_several
from limbeck.errors import ModelError, RunError

if TYPE_CHECKING:
    from torch import nn

    from limbeck.choice import Choice
    from limbeck.cli.job import Job
    from limbeck.initialising import CopiedLayers
    from limbeck.recipe.recipe import Recipe

Out = Annotated[Path, typer.Option(help="The job file.")]
Force = Annotated[bool, typer.Option("--force", help="Write it even if there is a file of that name.")]
Wanted = Annotated[
    str | None, typer.Option("--recipe", metavar="NAME", help="A shipped recipe; chosen by the task if not given.")
]


def new(
    teacher: words.TeacherOption = None, student: words.StudentOption = None, data: words.DataOption = None,
    out: Out = Path("job.yaml"), force: Force = False, recipe: Wanted = None,
    teacher_normalisation: words.TeacherNormalisation = None, teacher_weights: words.TeacherWeights = None,
    teacher_drop: words.TeacherDrop = None,
    student_weights: words.StudentWeights = None,
    teacher_option: words.ModelOptions = None, student_option: words.ModelOptions = None,
    data_option: words.DataOptions = None, batch_size: words.BatchSize = None, modules: words.Imports = None,
) -> None:  # fmt: skip
    """Look at two networks and their data, and write a job file to start from, with the recipe for the task seen.

    Example: limbeck new --teacher timm:resnet34 --teacher-weights t.safetensors --student timm:resnet10t
    --data imagefolder:photos
    """
    from limbeck.cli.job import Job, parse_options
    from limbeck.recipe.recipe import Recipe

    if out.exists() and not force:
        raise RunError(f"'{out}' is there already, perhaps edited. Give --force, or another name to --out.")
    said = {
        "teacher": one_or_several(teacher), "teacher_weights": one_or_several(teacher_weights),
        "teacher_normalisation": teacher_normalisation, "teacher_drop": teacher_drop,
        "teacher_options": parse_options(teacher_option),
        "student": student, "student_weights": student_weights, "student_options": parse_options(student_option),
        "data": data, "data_options": parse_options(data_option), "batch_size": batch_size, "import": modules or None,
    }  # fmt: skip
    job = Job.read(None, said)
    with loading():
        from limbeck.planning import Pair
        from limbeck.planning.recipe_for import recipe_for
        from limbeck.randomness import seed_all

        loaded = job.load_data()
        models = job.load_models(loaded)
    seed_all(0)
    pair = Pair.look(*models, loaded.train, loaded.validation, hold=False)
    chosen = recipe_for(pair.facts, pair.batches[0])
    known = Recipe.load(recipe or chosen.value)
    pair.plan(known)
    said = {key.replace("_", "-"): value for key, value in said.items() if value is not None}
    _write(out, said, chosen, known, _start(job, models, known))


def _start(job: Job, models: tuple[nn.Module, nn.Module], recipe: Recipe) -> CopiedLayers | None:
    """The teacher's layers for a student without weights of its own, if it is a smaller network of the same kind."""
    from limbeck.initialising import copy_layers

    teacher, student = models
    # A student with weights of its own keeps them, and so does one that the recipe speaks of.
    if job.student_weights not in {None, "random"} or recipe.start != "as-given":
        return None
    try:
        copied = copy_layers(copy.deepcopy(student), teacher, "first")
    except ModelError:
        return None
    sizes = [sum(each.numel() for each in model.parameters()) for model in (student, teacher)]
    return copied if sizes[0] < sizes[1] and copied.numbers > copied.of / 2 else None


def _write(out: Path, said: dict[str, Any], chosen: Choice, recipe: Recipe, start: CopiedLayers | None) -> None:
    from limbeck.whole_file import write_text

    command = shlex.quote(str(out))
    lines = [
        *_comment(
            f"A starting point, written by 'limbeck new'. 'limbeck plan {command}' shows every choice that follows "
            "from it; what else can stand here: 'limbeck distill --help' and the keys of a recipe."
        ),
        *(_entry(key, value) for key, value in said.items()),
        "",
        *_comment(f"The task: {chosen.reason}."),
        *_comment(f"{recipe.summary} 'limbeck recipes' lists the others; 'auto' is the measured default for any task."),
        _entry("recipe", recipe.name),
    ]
    if start is not None:
        share = f"{start.numbers / start.of:.0%}"
        lines += [
            *_comment(
                f"The teacher's first layers fit the student: {share} of its numbers. With which layers a student "
                "starts made up to 17.8 points (arXiv 2305.15032). Also: spread, last; as-given for none."
            ),
            _entry("start", start.which),
        ]
    lines += [
        "",
        *_comment("Without these: until validation stops improving, a rate that is searched, and runs/NUMBER."),
        "# epochs: 20",
        "# lr: 0.001",
        "# run-dir: runs/first",
    ]
    write_text(out, "\n".join(lines) + "\n")
    Console().print(
        f"Wrote {out} with recipe '{recipe.name}': {chosen.reason}.\nNext: limbeck distill {command}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


def _entry(key: str, value: Any) -> str:
    import yaml

    # Within a list, so that a name stands on its line as it does behind a key.
    listed = yaml.safe_dump([value], sort_keys=False, default_flow_style=True, width=10_000, allow_unicode=True)
    return f"{key}: {listed.strip()[1:-1]}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
