"""The student as a folder of Hugging Face, which ``from_pretrained`` loads again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.batch import ReadOutput, unwrap
from limbeck.errors import LimbeckError, ModelError
from limbeck.export.answering import Answering
from limbeck.export.check import Run
from limbeck.export.exported import Exported
from limbeck.export.exporting import exporting


def to_huggingface(
    student: nn.Module, example_inputs: Any, path: Path | str, *, output: ReadOutput | None = None
) -> Exported:
    """Write a folder with ``config.json`` and ``model.safetensors``, as the student's ``save_pretrained`` does.

    Load it with the ``AutoModel`` class of the student's task, such as
    ``AutoModelForSequenceClassification.from_pretrained(path)``. A tokenizer is not the student's to save: call
    ``tokenizer.save_pretrained(path)`` beside it. What else lies in an earlier folder of that name stays there.

    Args:
        student: a trained model of transformers; read, never changed.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments, for the check.
        path: the folder; made if it is not there.
        output: how the answer is read for the check; by default the logits, or the last hidden state.

    Raises:
        ModelError: if the student is no model of transformers, or answers otherwise when it is loaded again.
        RunError: if the folder cannot be written.
        LimbeckError: if transformers is not installed.

    Example:
        >>> import tempfile, torch
        >>> from transformers import BertConfig, BertModel
        >>> sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
        >>> student = BertModel(BertConfig(vocab_size=20, **sizes))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exported = to_huggingface(student, {"input_ids": torch.ones(2, 4).long()}, f"{folder}/small")
        ...     sorted(each.name for each in exported.path.iterdir()), exported.max_difference
        (['config.json', 'model.safetensors'], 0.0)
    """
    transformers = _transformers()
    kind: Any = type(unwrap(student))
    if not issubclass(kind, transformers.PreTrainedModel):
        raise ModelError(
            f"A folder of Hugging Face needs a student of transformers. Found {kind.__module__}.{kind.__name__}. "
            "Export plain weights instead: to='safetensors' (--to safetensors)."
        )

    def write(trained: Answering, place: Path) -> tuple[Run, tuple[str, ...]]:
        copied: Any = trained.student
        with _quiet(transformers):
            copied.save_pretrained(place)
            loaded = kind.from_pretrained(place)
        return Answering(loaded, example_inputs, output).answer, ()

    return exporting(
        student, example_inputs, path, output, kind="huggingface", suffix=None, write=write,
        alternative="Keep weights in parameters and buffers, and sizes in the configuration.",
    )  # fmt: skip


def _transformers() -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise LimbeckError(
            "A folder of Hugging Face needs the package transformers. It is not installed. Run pip install "
            "'limbeck[text]'."
        ) from error
    return transformers


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    logging = transformers.utils.logging
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
