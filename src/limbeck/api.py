"""The three words most users need: ``plan``, ``distill``, ``load``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from limbeck.batch import Adapt, ReadOutput
from limbeck.errors import RunError
from limbeck.pipeline import Options, Pipeline
from limbeck.planning import Pair, Plan
from limbeck.planning.build import TaskLoss
from limbeck.recipe.recipe import Recipe
from limbeck.report.report import Report
from limbeck.sources import load_model, load_weights
from limbeck.training.metrics import Metric
from limbeck.training.optimizers import MakeOptimizer
from limbeck.training.randomness import own_randomness, seed_all
from limbeck.training.run_folder import RunFolder

# Names that a run folder may bring along: they build published architectures and limbeck's own demo, nothing else.
_RUN_NO_CODE = ("timm:", "torchvision:", "limbeck.demo.networks:")


def plan(
    teacher: nn.Module,
    student: nn.Module,
    data: Iterable[Any],
    *,
    recipe: str | Path | dict[str, Any] | Recipe = "auto",
    adapt: Adapt | None = None,
    output: ReadOutput | None = None,
    layouts: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Plan:
    """Look at two models and their data, and say how one would be distilled into the other. Nothing is trained.

    Args:
        teacher: any module.
        student: any module.
        data: loader of batches that both models run on: ``x``, ``(x, y)``, or dicts with labels under a usual name.
        recipe: name of a shipped recipe, path of a YAML file, or its content.
        adapt: reads a batch of any other form: ``adapt(raw) -> limbeck.Batch(inputs, targets)``.
        output: takes the logits from what a model returns, where they are not the tensor itself or ``.logits``.
        layouts: axes of sites whose layout cannot be told, such as ``{"encoder": "LBC"}``.
        seed: of everything random.

    Returns:
        A plan to print, save, edit and give to :func:`distill`.

    Raises:
        LimbeckError: if a model does not run on the data, or the recipe cannot be used on this pair.
    """
    with own_randomness():
        seed_all(seed)
        pair = Pair.look(teacher, student, data, (), adapt=adapt, output=output, layouts=layouts, seed=seed)
        return pair.plan(Recipe.load(recipe))


def distill(  # noqa: PLR0913 - every choice that limbeck makes can be overridden here
    teacher: nn.Module,
    student: nn.Module,
    train: Iterable[Any],
    *,
    validation: Iterable[Any] | None = None,
    plan: Plan | str | Path | None = None,
    recipe: str | Path | dict[str, Any] | Recipe = "auto",
    steps: int | None = None,
    epochs: int | None = None,
    lr: float | str = "auto",
    optimizer: MakeOptimizer | None = None,
    metric: str | Metric = "accuracy",
    task_loss: TaskLoss | None = None,
    search: bool = True,
    budget: float = 3.0,
    adapt: Adapt | None = None,
    output: ReadOutput | None = None,
    layouts: Mapping[str, str] | None = None,
    seed: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    replan: bool = False,
    check_teacher: bool = True,
    progress: bool = True,
) -> Report:
    """Distil a teacher into a student, which is trained in place. Whatever is not given is chosen and reported.

    Args:
        teacher: any module; it is run, never changed.
        student: any module.
        train: loader of training batches.
        validation: loader to select with; 10 % of a map-style training set is held out if there is none.
        plan: a plan or the path of one; made from the recipe if not given.
        recipe: name of a shipped recipe, path of a YAML file, or its content.
        steps: optimizer steps.
        epochs: passes over the data. With neither, training goes on until validation stops improving, at most the
            longer of 2,000 steps and 30 epochs.
        lr: highest learning rate, or ``auto`` for what the plan says, else a search over a wide grid of short runs.
        optimizer: function from parameter groups to an optimizer; AdamW if not given.
        metric: ``accuracy``, ``negative_error``, or a function of logits and labels; larger is better.
        task_loss: function of the student's logits and the labels, used in place of cross-entropy.
        search: whether to search for the rate; without it ``auto`` is 1e-3.
        budget: what everything may cost together, in trainings.
        adapt: reads a batch: ``adapt(raw) -> limbeck.Batch(inputs, targets)``.
        output: takes the logits from what a model returns.
        layouts: axes of sites whose layout cannot be told.
        seed: of everything random; the plan's (0) if not given.
        device: where to train; chosen by accelerate if not given.
        precision: ``no``, ``bf16`` or ``fp16``; chosen by the device if not given.
        run_dir: folder for plan, history, checkpoints, weights and report; nothing is written if not given.
        resume: go on with the unfinished run in ``run_dir``.
        replan: plan anew if the given plan no longer fits, and print the difference.
        check_teacher: refuse a teacher that answers no better than chance.
        progress: whether to show progress bars on a terminal.

    Returns:
        What came of it; ``report.student`` is the student.

    Raises:
        LimbeckError: before the first step, if something cannot work; says what to do.
        Interrupted: on Ctrl-C, after the state is saved in ``run_dir``.

    Example:
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(64, 4)
        >>> data = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=16)
        >>> big, small = (nn.Sequential(nn.Linear(4, n), nn.ReLU(), nn.Linear(n, 2)) for n in (32, 8))
        >>> report = distill(big, small, data, steps=5, lr=0.01, check_teacher=False)
        >>> report.student is small
        True
    """
    options = Options(
        recipe=Recipe.load(recipe),
        plan=Plan.load(plan) if isinstance(plan, str | Path) else plan,
        settings={
            "steps": steps, "epochs": epochs, "lr": None if lr == "auto" else lr, "seed": seed, "precision": precision,
        },
        optimizer=optimizer,
        metric=metric,
        task_loss=task_loss,
        budget=budget if search else None,
        adapt=adapt,
        output=output,
        layouts=layouts,
        device=device,
        run_dir=None if run_dir is None else Path(run_dir),
        resume=resume,
        replan=replan,
        check_teacher=check_teacher,
        progress=progress,
    )  # fmt: skip
    return Pipeline(teacher, student, train, validation, options).run()


def load(run_dir: str | Path, *, student: nn.Module | str | None = None) -> nn.Module:
    """The student of a finished run, with its weights, in evaluation mode.

    Args:
        run_dir: folder of the run.
        student: a module of the architecture that was trained, or its name. Not needed where the run knows a name that
            runs no code of others: ``timm:``, ``torchvision:`` or limbeck's own. A factory is only called if it is
            named here, as that runs its code.

    Raises:
        RunError: if the run is not finished, or only your code can build its student.
        ModelError: if the weights are damaged, or of another architecture.
    """
    folder = RunFolder(run_dir)
    known = folder.description
    if student is None:
        student = known.get("student_source")
        if not isinstance(student, str) or not student.startswith(_RUN_NO_CODE):
            raise RunError(
                f"The run in '{run_dir}' holds weights of {known.get('student', 'a student')}, which only "
                "your code can build. Give student=, a module or the name of a factory ('package.module:factory')."
            )
    if isinstance(student, str):
        same = student == known.get("student_source")
        student = load_model(student, options=known.get("student_options") if same else None)
    load_weights(student, folder.student_file)
    return student.eval()
