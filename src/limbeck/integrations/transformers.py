"""Distillation by the Trainer of Hugging Face transformers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from limbeck.batch import TEACHER_KEY, Adapt, ReadOutput, accepted, unwrap
from limbeck.distiller.distiller import Distiller
from limbeck.errors import ModelError, RecipeError, RunError
from limbeck.integrations.measured import Measured
from limbeck.integrations.preparation import Preparation, Recipes
from limbeck.planning import Plan
from limbeck.planning.stated import Layouts, Sites
from limbeck.teachers.live import Teacher

try:
    from transformers import Trainer, TrainerCallback, TrainingArguments
except ImportError as error:
    raise ModelError(
        "DistillationTrainer needs transformers. Found that it is not installed. Run: pip install 'limbeck[text]'"
    ) from error

STATE_FILE = "distiller.pt"
PLAN_FILE = "plan.yaml"


class DistillationTrainer(Trainer):
    """A :class:`transformers.Trainer` whose training loss is a distiller's; everything else is the Trainer's own.

    ``trainer.model`` is the student: it is what is evaluated, predicts, is saved and pushed. While training, what DDP
    wraps is the distiller, which holds the student and the projectors. A checkpoint has the student's weights as
    always, and beside them ``plan.yaml`` and ``distiller.pt``: projectors, statistics of the targets, state of balancer
    and schedule. A training that is resumed from one equals an uninterrupted one.

    Length, rate, optimizer and precision are those of ``args``; the plan's own training settings are not used. The loss
    is a mean over a micro-batch, and accumulated micro-batches count alike. Every term and weight is logged with the
    loss. Evaluation needs no teacher: its loss is what the student's own forward returns for labels.

    Columns are kept that the student or the teacher has a parameter for, and each model is called with its own.

    Args:
        student: trained in place.
        teacher: run in evaluation mode, never changed but for the device.
        args: as of the Trainer.
        train_dataset: as of the Trainer; its first batches are read for the plan.
        eval_dataset: as of the Trainer.
        plan: a plan or the path of one.
        recipe: what a plan is made from; ``auto`` if there is neither plan nor recipe.
        adapt: reads a batch: ``adapt(raw) -> limbeck.Batch(inputs, targets)``.
        output: takes the logits from what a model returns.
        layouts: axes of sites whose layout cannot be told; see :func:`limbeck.plan`.
        sites: the sites that a new plan considers; see :func:`limbeck.plan`.
        data_collator: as of the Trainer.
        processing_class: as of the Trainer.
        compute_metrics: as of the Trainer; gets the student's predictions.
        callbacks: as of the Trainer.
        optimizer_cls_and_kwargs: as of the Trainer. A ready optimizer cannot be given: it would not hold the
            projectors.
        preprocess_logits_for_metrics: as of the Trainer.

    Attributes:
        plan: what is done.
        distiller: of the last training; ``None`` before.

    Raises:
        RecipeError: if ``args`` ask for FSDP, DeepSpeed, DataParallel, label smoothing or re-entrant checkpointing.
        LimbeckError: if a model does not run on the data, or plan or recipe do not fit.

    Example:
        >>> import tempfile
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> def bert(width, layers):
        ...     sizes = {"hidden_size": width, "intermediate_size": width, "num_attention_heads": 2}
        ...     return BertForSequenceClassification(BertConfig(vocab_size=9, num_hidden_layers=layers, **sizes))
        >>> rows = [{"input_ids": [i % 9, 2, 3], "attention_mask": [1, 1, 1], "labels": i % 2} for i in range(8)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     args = TrainingArguments(folder, max_steps=2, save_strategy="no", report_to="none", use_cpu=True)
        ...     trainer = DistillationTrainer(bert(8, 1), bert(16, 2), args, train_dataset=rows)
        ...     done = trainer.train()  # doctest: +ELLIPSIS
        {'train_runtime': ...}
        >>> done.global_step, "CrossEntropy" in trainer.distiller.names
        (2, True)
    """

    def __init__(  # noqa: PLR0913 - what the Trainer takes, and what limbeck does
        self,
        student: nn.Module,
        teacher: nn.Module,
        args: TrainingArguments,
        *,
        train_dataset: Any,
        eval_dataset: Any = None,
        plan: Plan | str | Path | None = None,
        recipe: Recipes | None = None,
        adapt: Adapt | None = None,
        output: ReadOutput | None = None,
        layouts: Layouts | None = None,
        sites: Sites | None = None,
        data_collator: Callable[[Any], Any] | None = None,
        processing_class: Any = None,
        compute_metrics: Callable[[Any], dict[str, float]] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        super().__init__(
            model=student,  # pyright: ignore[reportArgumentType] - any module works
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            data_collator=data_collator,
            processing_class=processing_class,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
        )
        _check(self)
        self.teacher = teacher
        self.distiller: Distiller | None = None
        # The distiller's loss is a mean already: the Trainer divides it by the number of micro-batches.
        self.model_accepts_loss_kwargs = False
        stated: dict[str, Any] = {"adapt": adapt, "output": output, "layouts": layouts, "sites": sites}
        self._looked = Preparation.look(
            student, teacher, self._first_batches(), plan=plan, recipe=recipe, seed=args.seed, **stated
        )
        self._source: Teacher | None = None
        self._measured = Measured(())
        self.add_callback(_Steps(self))

    @property
    def plan(self) -> Plan:
        """What is done."""
        return self._looked.plan

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, as of the Trainer; hooks are taken off both models at the end."""
        try:
            return super().train(*args, **kwargs)
        finally:
            self._close()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The distiller's loss in training; the student's own in evaluation."""
        if not self._trains(model):
            return super().compute_loss(model, dict(inputs), return_outputs, num_items_in_batch)
        batch = self._looked.pair.adapt(inputs)
        captured = None
        if self._source is not None and self.distiller is not None and self.distiller.needs_teacher:
            with self.accelerator.autocast():
                captured = self._source(batch)
        out = model(batch, captured)
        self._measured.add(out)
        return (out.loss, out.student) if return_outputs else out.loss

    def prediction_step(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:
        """The student's loss, logits and labels; a student whose forward takes no labels has no loss."""
        students = {name: each for name, each in inputs.items() if not name.startswith(TEACHER_KEY)}
        loss, logits, labels = super().prediction_step(
            model, accepted(self.model, students), prediction_loss_only, ignore_keys
        )
        if labels is None and not prediction_loss_only:
            found = tuple(inputs[name] for name in self.label_names or ["labels"] if name in inputs)
            labels = found[0] if len(found) == 1 else found or None
        return loss, logits, labels

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add every term and weight, as means over all processes, to what is logged of the training."""
        if "loss" in logs:
            logs = {**logs, **self._measured.take(self._over_processes)}
        super().log(logs, start_time)

    def _over_processes(self, means: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.accelerator.reduce(means, "mean"))

    def _trains(self, model: nn.Module) -> bool:
        return self.accelerator.unwrap_model(model, keep_torch_compile=False) is self.distiller

    def _first_batches(self) -> Iterable[Any]:
        """The training data as one process sees it: the processes of a training must plan alike."""
        data: Any = self.train_dataset
        return torch.utils.data.DataLoader(
            data,
            batch_size=self.args.train_batch_size,
            shuffle=not isinstance(data, torch.utils.data.IterableDataset),
            collate_fn=self._get_collator_with_removed_columns(self.data_collator, "plan"),
        )

    def _set_signature_columns_if_needed(self) -> None:
        if self._signature_columns is None:
            super()._set_signature_columns_if_needed()
            known: list[str] = getattr(self, "_signature_columns")  # noqa: B009 - pyright takes it for None
            teachers = inspect.signature(unwrap(self.teacher).forward).parameters
            others = [f"{TEACHER_KEY}{name}" for name in ("inputs", *teachers)]
            self._signature_columns = list(dict.fromkeys([*known, *teachers, *others, "labels"]))

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> Any:
        """What DDP wraps and the optimizer moves is the distiller; what is saved and evaluated stays the student."""
        self._close()
        if resume_from_checkpoint is not None:
            self._go_on_with_the_plan_of(Path(resume_from_checkpoint))
        self.distiller, self._source = self._looked.begin(max_steps)
        self._measured = Measured(self.distiller.names)
        student, self.optimizer = self.model, None
        self.model = self.model_wrapped = self.distiller  # pyright: ignore[reportAttributeAccessIssue]
        try:
            return super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)
        finally:
            self.model = self.callback_handler.model = student

    def _go_on_with_the_plan_of(self, checkpoint: Path) -> None:
        file = checkpoint / PLAN_FILE
        if not file.is_file():
            raise _not_ours(checkpoint, PLAN_FILE)
        self._looked = self._looked.as_begun(Plan.load(file), str(checkpoint))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save and self.distiller is not None:
            torch.save(_without_student(self.distiller.state_dict()), Path(output_dir) / STATE_FILE)
            self.plan.save(Path(output_dir) / PLAN_FILE)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None or self.distiller is None:
            return
        file = Path(checkpoint) / STATE_FILE
        if not file.is_file():
            raise _not_ours(Path(checkpoint), STATE_FILE)
        state = torch.load(file, map_location="cpu", weights_only=True)
        missing, unexpected = self.distiller.load_state_dict(state, strict=False)
        wrong = [*(name for name in missing if not name.startswith("student.")), *unexpected]
        if wrong:
            raise RunError(
                f"'{file}' must hold what the plan beside it learns. Found a difference at {wrong[:3]}. Give the "
                "student and the teacher that the training was begun with."
            )

    def _close(self) -> None:
        for each in (self._source, self.distiller):
            if each is not None:
                each.close()
        self._source = None


class _Steps(TrainerCallback):
    """Moves balancer and schedule on after each optimizer step."""

    def __init__(self, trainer: DistillationTrainer) -> None:
        self.trainer = trainer

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if self.trainer.distiller is not None:
            self.trainer.distiller.step()


def _without_student(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if not name.startswith("student.")}


def _check(trainer: Trainer) -> None:
    """Refuse what would train something else than was asked for."""
    if not hasattr(Trainer, "_prepare_for_training"):
        raise ModelError(
            "DistillationTrainer needs transformers 5.3 or newer. Found one whose Trainer prepares everything in a "
            "single method. Run: pip install -U transformers"
        )
    asked = {
        # On a CPU accelerate overlooks the setting and trains with DDP.
        "FSDP": (trainer.is_fsdp_enabled or bool(trainer.args.fsdp), "Launch with torchrun, which gives DDP"),
        "DeepSpeed": (trainer.is_deepspeed_enabled, "Launch with torchrun, which gives DDP"),
        "DataParallel over several GPUs": (
            trainer.args.n_gpu > 1,
            "Launch with torchrun, or show one GPU (CUDA_VISIBLE_DEVICES)",
        ),
        "label smoothing": (
            trainer.args.label_smoothing_factor != 0,
            "Write outputs: [{loss: {kind: CrossEntropy, label_smoothing: 0.1}}] in the recipe",
        ),
        # A re-entrant checkpoint runs without a graph: what is read inside of it would teach the student nothing.
        "re-entrant checkpointing of activations": (_reentrant(trainer.args), "Leave use_reentrant out, or say false"),
    }
    for name, (found, instead) in asked.items():
        if found:
            raise RecipeError(
                "DistillationTrainer needs a student in one piece, its own loss, and a graph through every layer. "
                f"Found {name}. {instead}."
            )


def _reentrant(args: TrainingArguments) -> bool:
    # Newer transformers use the first name, of which the second is a deprecated alias there.
    names = ("activation_checkpointing_kwargs", "gradient_checkpointing_kwargs")
    return any((getattr(args, name, None) or {}).get("use_reentrant", False) for name in names)


def _not_ours(checkpoint: Path, file: str) -> RunError:
    return RunError(
        f"A distillation goes on from a checkpoint of one. Found no {file} in '{checkpoint}'. Use one that "
        "DistillationTrainer wrote with save_only_model=False, or begin anew."
    )
