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
from limbeck.planning.caching import CacheSettings
from limbeck.planning.fitting import keys_for
from limbeck.planning.require_models import require_models
from limbeck.planning.starting import started
from limbeck.planning.stated import Layouts, Sites
from limbeck.randomness import seed_all
from limbeck.recipe.recipe import Recipe, known_start
from limbeck.report.report import Report
from limbeck.sources import load_weights
from limbeck.sources.rebuild import builds_safely, rebuild
from limbeck.teachers.committee import Teachers, as_teacher
from limbeck.training.metrics import Metric
from limbeck.training.optimizers import MakeOptimizer
from limbeck.training.run_folder import RunFolder
from limbeck.training.surroundings import undisturbed
from limbeck.training.trackers import TrackerChoice


def plan(
    teacher: Teachers,
    student: nn.Module,
    data: Iterable[Any],
    *,
    recipe: str | Path | dict[str, Any] | Recipe = "auto",
    adapt: Adapt | None = None,
    output: ReadOutput | None = None,
    layouts: Layouts | None = None,
    sites: Sites | None = None,
    seed: int = 0,
) -> Plan:
    """Look at two models and their data, and say how one would be distilled into the other. Nothing is trained.

    Args:
        teacher: any module; of several in a list or dict a :class:`~limbeck.Committee` is made.
        student: any module.
        data: loader of batches that both models run on: ``x``, ``(x, y)``, or dicts with labels under a usual name.
        recipe: name of a shipped recipe, path of a YAML file, or its content.
        adapt: reads a batch of any other form: ``adapt(raw) -> limbeck.Batch(inputs, targets)``.
        output: takes the logits from what a model returns, where they are not the tensor itself or ``.logits``.
        layouts: axes of sites whose layout cannot be told, such as ``{"encoder": "LBC"}``; where both models have such
            a site, ``{"student": {"encoder": "LBC"}}`` is about one of them.
        sites: the sites to consider instead of those that are found: ``{"student": ["blocks.*", "fc:input"]}``.
        seed: of everything random.

    Returns:
        A plan to print, save, edit and give to :func:`distill`.

    Raises:
        LimbeckError: if a model does not run on the data, or the recipe cannot be used on this pair.
    """
    teacher = as_teacher(teacher)
    require_models(teacher, student)
    with undisturbed(teacher, student):
        seed_all(seed)
        known = Recipe.load(recipe)
        keys = keys_for(term.loss for term in known.features)
        options: dict[str, Any] = {"adapt": adapt, "output": output, "layouts": layouts, "sites": sites, "seed": seed}
        with started(student, teacher, known.start) as said:
            made = Pair.look(teacher, student, data, hold=False, keys=keys, **options).plan(known)
        return made.with_choices(*said)


def distill(  # noqa: PLR0913 - every choice that limbeck makes can be overridden here
    teacher: Teachers,
    student: nn.Module,
    train: Iterable[Any],
    *,
    validation: Iterable[Any] | None = None,
    plan: Plan | str | Path | None = None,
    recipe: str | Path | dict[str, Any] | Recipe | None = None,
    start: str | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    lr: float | str = "auto",
    optimizer: MakeOptimizer | None = None,
    metric: str | Metric = "auto",
    task_loss: TaskLoss | None = None,
    search: bool = True,
    budget: float = 3.0,
    adapt: Adapt | None = None,
    output: ReadOutput | None = None,
    layouts: Layouts | None = None,
    sites: Sites | None = None,
    cache: str | Path | None = None,
    cache_encoding: str | None = None,
    cache_views: int | None = None,
    cache_top_k: int | None = None,
    seed: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    replan: bool = False,
    check_teacher: bool = True,
    tracker: TrackerChoice = "auto",
    progress: bool = True,
) -> Report:
    """Distil a teacher into a student, which is trained in place. Whatever is not given is chosen and reported.

    Both models end on the device and in the mode in which they were given, module by module. The student is trained in
    training mode; only a batch norm that is in evaluation mode in a student that is in training mode stays so.

    Args:
        teacher: any module; it is run, never changed. Of several in a list or dict a :class:`~limbeck.Committee` is
            made.
        student: any module.
        train: loader of training batches.
        validation: loader to select with; 10 % of a map-style training set is held out if there is none.
        plan: a plan or the path of one; made from the recipe if not given.
        recipe: name of a shipped recipe, path of a YAML file, or its content. Not beside a plan, which holds the recipe
            that it was made from. With neither, ``auto`` is trained side by side with soft labels and the student
            alone, and is left only for one of them that validates better with a probability of 0.9.
        start: with which layers of the teacher the student starts, in place of what recipe or plan say: ``spread`` over
            the depth, the ``first`` or the ``last``, see :func:`copy_layers`; ``as-given`` for its own weights.
        steps: optimizer steps, in place of the steps or epochs of recipe or plan.
        epochs: passes over the data, likewise. With neither anywhere, training goes on until validation stops
            improving, at most the longer of 2,000 steps and 30 epochs.
        lr: highest learning rate, or ``auto`` for what the plan says, else what suits the student: its widths say it
            where it is untrained (:func:`limbeck.search.width_rate`), its first step where it has learnt before
            (:func:`limbeck.search.first_step_rate`).
        optimizer: function from parameter groups to an optimizer; AdamW if not given. The rates that it comes with are
            kept, warm-up and decay multiply them, and nothing is searched, unless ``lr`` is given.
        metric: ``auto`` for what suits the labels (``accuracy``, ``label_accuracy`` for several labels at once,
            ``negative_error`` for numbers), one of these, or a function of logits and labels; larger is better.
        task_loss: function of the student's logits and the labels, used in place of cross-entropy.
        search: whether to race, against other recipes and at a higher rate; without it the default is trained alone.
        budget: what everything may cost together, in plain trainings with the teacher running: it says whether the
            default takes part at a second rate. Counted, not timed.
        adapt: reads a batch: ``adapt(raw) -> limbeck.Batch(inputs, targets)``.
        output: takes the logits from what a model returns.
        layouts: axes of sites whose layout cannot be told; see :func:`plan`.
        sites: the sites that a new plan considers; see :func:`plan`.
        cache: folder (or address that fsspec reaches) in which the teacher's features and logits are kept, so that the
            teacher runs once for each view of a sample; in later epochs, searches and runs they are read.
        cache_encoding: ``float32``, ``float16`` (if not given), ``int8`` or ``pca``; the report says how exact it is.
        cache_views: how many augmented views of each sample are shown in turn and kept; 8 where the data set draws
            random numbers, else 1.
        cache_top_k: keep of the teacher's logits only so many of the most probable classes of each answer, and what all
            others have together, for large vocabularies; all logits if not given. The report says what is lost.
        seed: of everything random; the plan's (0) if not given.
        device: where to train; chosen by accelerate if not given.
        precision: ``no``, ``bf16`` or ``fp16``; chosen by the device if not given.
        run_dir: folder for plan, history, checkpoints, weights and report; nothing is written if not given.
        resume: go on with the unfinished run in ``run_dir``, with the recipe, plan and settings that it was begun with:
            they need not be given again, and others are refused.
        replan: plan anew if the given plan no longer fits, and print the difference, which the report shows too.
        check_teacher: refuse a teacher that answers no better than chance.
        tracker: what follows the training beside ``run_dir``: a name that accelerate knows (``tensorboard``, ``wandb``,
            ``mlflow``, ``trackio`` and others), a tracker of :mod:`accelerate.tracking` that you made, several of
            both, or ``none``. ``auto`` is TensorBoard, written into ``run_dir``, where both are there.
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
        recipe=None if recipe is None else Recipe.load(recipe),
        plan=Plan.load(plan) if isinstance(plan, str | Path) else plan,
        start=None if start is None else known_start(start),
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
        sites=sites,
        cache=None if cache is None else CacheSettings(cache, cache_encoding, cache_views, cache_top_k),
        device=device,
        run_dir=None if run_dir is None else Path(run_dir),
        resume=resume,
        replan=replan,
        check_teacher=check_teacher,
        tracker=tracker,
        progress=progress,
    )  # fmt: skip
    return Pipeline(as_teacher(teacher), student, train, validation, options).run()


def load(run_dir: str | Path, *, student: nn.Module | str | None = None) -> nn.Module:
    """The student of a finished run, with its weights, in evaluation mode.

    Args:
        run_dir: folder of the run.
        student: a module of the architecture that was trained, or its name. Not needed where the run knows a name that
            only builds a published architecture (``timm:``, ``torchvision:``) or one of limbeck's own. Any other must
            be named here, as a factory runs its code and a hub is asked over the network.

    Raises:
        RunError: if the run is not finished, or its student must be named.
        ModelError: if the weights are damaged, or of another architecture.
    """
    folder = RunFolder(run_dir)
    known = folder.description
    file = folder.student_file
    source = known.get("student_source")
    if student is None:
        if not builds_safely(source):
            raise RunError(_name_it(run_dir, known))
        student = str(source)
    if isinstance(student, str):
        student = rebuild(student, known.get("student_options") if student == source else None)
    load_weights(student, file)
    folder.restore_extra(student)
    return student.eval()


def _name_it(run_dir: str | Path, known: Mapping[str, Any]) -> str:
    source = known.get("student_source")
    if source is None:
        return (
            f"The run in '{run_dir}' holds the weights of a {known.get('student', 'student')} that a program trained. "
            f"Give the module to load them into: limbeck.load('{run_dir}', student=module), or the name of a factory "
            "that builds it, 'package.module:factory' or 'path.py:factory' (--student path.py:factory)."
        )
    return (
        f"The run in '{run_dir}' says that '{source}' builds its student. A name in a file is never followed where "
        f"that runs code or asks a hub. If you trust it, name it: limbeck.load('{run_dir}', student='{source}') "
        f"(--student {source})."
    )
