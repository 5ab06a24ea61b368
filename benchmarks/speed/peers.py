"""The same training through other libraries' own interfaces."""

from __future__ import annotations

import importlib
import logging
import tempfile
from types import ModuleType
from typing import Any, ClassVar

import torch
from benchmarks.speed.case import CLIP, FEATURE_WEIGHT, RATE
from benchmarks.speed.systems import NotApplicable, System
from torch import Tensor, nn


class Torchdistill(System):
    """torchdistill: its distillation box, its hooks and its losses, with projectors in a wrapper of its kind.

    It has no standardised targets: the teacher's features are compared as they are, which is a little less work.
    """

    name = "torchdistill"
    _wrapper = "LimbeckSpeedProjecting"

    def prepare(self) -> None:
        _import("torchdistill")
        from torchdistill.core.distillation import get_distillation_box
        from torchdistill.models.registry import register_auxiliary_model_wrapper

        case = self.case
        register_auxiliary_model_wrapper(key=self._wrapper)(_projecting())
        self.box = get_distillation_box(
            case.teacher, case.new_student(), {}, self._config(), torch.device("cpu"), None, False, 1.0
        )

    def train(self) -> None:
        box, case = self.box, self.case
        box.pre_epoch_process(epoch=0)
        for inputs, labels, more in case.loader(self.clock, lambda indices: (*case.batch(indices), {})):
            box.pre_forward_process()
            loss = box.forward_process(inputs, labels, more)
            box.post_forward_process(loss)
        box.post_epoch_process()

    def _config(self) -> dict[str, Any]:
        case = self.case
        mine, theirs = ([link[side] for link in case.pair.links] for side in (0, 1))
        projected = [f"projectors.{index}" for index in range(len(mine))]
        terms = {
            f"link {index}": _term("MSELoss", FEATURE_WEIGHT, path, {"is_from_teacher": True, **_output(target)})
            for index, (path, target) in enumerate(zip(projected, theirs, strict=True))
        }
        terms["labels"] = _term("CrossEntropyLoss", 1.0, ".", {"uses_label": True})
        # Within its wrapper the student stands under this name.
        mine = [f"student_model.{name}" for name in mine]
        wrapper = {"projectors": case.projectors(), "read": mine}
        return {
            "num_epochs": 1,
            "teacher": {
                "forward_proc": "forward_batch_only",
                "forward_hook": {"output": theirs},
                "requires_grad": False,
            },
            "student": {
                "forward_proc": "forward_batch_only",
                "auxiliary_model_wrapper": {"key": self._wrapper, "kwargs": wrapper},
                "forward_hook": {"output": [*mine, *projected]},
            },
            "optimizer": {"key": "AdamW", "kwargs": {"lr": RATE, "fused": True}, "max_grad_norm": CLIP},
            "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": terms}},
        }


def _projecting() -> type[nn.Module]:
    """A student with projectors on its features, in the form in which torchdistill takes such things."""
    from torchdistill.models.wrapper import AuxiliaryModelWrapper

    class Projecting(AuxiliaryModelWrapper):
        def __init__(self, student_model: nn.Module, projectors: nn.ModuleList, read: list[str], **_: Any) -> None:
            super().__init__()
            self.student_model, self.projectors, self.read = student_model, projectors, read

        def forward(self, inputs: Any) -> Tensor:
            return self.student_model(inputs)

        def secondary_forward(self, seen: dict[str, dict[str, Tensor]]) -> None:
            for name, projector in zip(self.read, self.projectors, strict=True):
                projector(seen[name]["output"])

    return Projecting


def _term(loss: str, weight: float, read: str, target: dict[str, Any]) -> dict[str, Any]:
    wrapper = {"input": {"is_from_teacher": False, **_output(read)}, "target": target}
    return {
        "criterion": {"key": loss, "kwargs": {}},
        "criterion_wrapper": {"key": "SimpleLossWrapper", "kwargs": wrapper},
        "weight": weight,
    }


def _output(path: str) -> dict[str, str]:
    return {"module_path": path, "io": "output"}


class Timm(System):
    """timm's feature task: one term, between the pooled features before the heads, not the four of the others."""

    name = "timm"
    models: ClassVar[dict[str, tuple[str, str]]] = {"ResNet-34 to ResNet-18": ("resnet34", "resnet18")}

    def prepare(self) -> None:
        if self.case.pair.name not in self.models:
            raise NotApplicable("needs image models of timm (forward_features, forward_head, pretrained_cfg)")
        timm, task = _import("timm"), _import("timm.task")
        classes = self.case.new_student()(self.case.inputs[:2]).shape[1]
        teacher, student = (timm.create_model(name, num_classes=classes) for name in self.models[self.case.pair.name])
        self.task = task.FeatureDistillationTask(
            student, teacher, nn.CrossEntropyLoss(), distill_loss_weight=FEATURE_WEIGHT, verbose=False
        )
        self.task.train()
        self.learnt = list(self.task.trainable_module.parameters())
        self.optimizer = torch.optim.AdamW(self.learnt, lr=RATE, fused=True)

    def train(self) -> None:
        for inputs, labels in self.case.loader(self.clock):
            loss = self.task(inputs, labels)["loss"]
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.learnt, CLIP)
            self.optimizer.step()


class Silverspoon(System):
    """silverspoon-kd: its holistic distiller, on Hugging Face's trainer.

    It has no standardised targets, and weighs terms against labels by one number alpha.
    """

    name = "silverspoon-kd"

    def prepare(self) -> None:
        if self.case.pair.channel == 1 and self.case.teacher_features(self.case.inputs[:2])[0].ndim == 3:
            raise NotApplicable("its projectors map the last axis or the channels of 2-D maps, not of 1-D maps")
        kd = _import("silverspoon_kd")
        logging.getLogger("silverspoon_kd").setLevel(logging.ERROR)
        self._folder = tempfile.TemporaryDirectory(prefix="limbeck-speed-")
        self.teacher, self.student = Named(self.case.teacher), Named(self.case.new_student())
        self.alignments = [self._alignment(kd, *link) for link in self.case.pair.links]
        self.kd = kd

    def train(self) -> None:
        steps = self.case.count // self.case.pair.batch_size
        loader = self.case.loader(self.clock, self._batch)
        settings = self.kd.TrainingArguments(
            output_dir=self._folder.name, max_steps=steps, per_device_train_batch_size=self.case.pair.batch_size,
            learning_rate=RATE, max_grad_norm=CLIP, alpha=1 / (1 + FEATURE_WEIGHT), disable_tqdm=True, use_cpu=True,
            save_strategy="no", logging_strategy="no", remove_unused_columns=False, dataloader_pin_memory=False,
        )  # fmt: skip
        distiller = self.kd.HolisticDistiller(
            self.student, self.teacher, self.alignments, train_dataset=loader.dataset, data_collator=loader.collate_fn,
            args=settings,
        )  # fmt: skip
        distiller.remove_callback(self.kd.SilentProgressCallback)
        distiller.train()

    def _batch(self, indices: list[int]) -> dict[str, Any]:
        inputs, labels = self.case.batch(indices)
        return {"inputs": inputs, "labels": labels}

    def _alignment(self, kd: ModuleType, mine: str, theirs: str, *_: int) -> Any:
        teacher, student = self.teacher.model.get_submodule(theirs), self.student.model.get_submodule(mine)
        return kd.Alignment(teacher, student, auto_projector=True, loss_function="mse")


class Named(nn.Module):
    """A model that is called by the names of its inputs, and gives its loss with its logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Any, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.model(inputs)
        found = {"logits": logits}
        return found if labels is None else {"loss": nn.functional.cross_entropy(logits, labels), **found}


def _import(name: str) -> ModuleType:
    logging.getLogger(name).setLevel(logging.ERROR)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotApplicable(f"{name} cannot be imported here: {error}") from error
