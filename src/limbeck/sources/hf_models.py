"""Models of Hugging Face transformers, by hub name or folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.errors import ModelError
from limbeck.sources.extra import optional
from limbeck.sources.hub import brief, hub_error


def hf_model(name: str, *, published: bool, options: Mapping[str, Any]) -> nn.Module:
    """Build the model that a hub name or a folder describes.

    The class is the one that the configuration names under ``architectures``, so that a classifier keeps its head;
    ``AutoModel`` if it names none. The option ``architecture`` asks for another class of transformers
    (``AutoModel``, ``BertForSequenceClassification``): then weights which that class has and the files have not are
    new, and transformers lists them. Weights are read in float32, whatever they were saved in.

    ``HF_HUB_OFFLINE=1`` is respected. Code that comes with a model is never run.

    Args:
        name: a folder that ``save_pretrained`` wrote, or a name on the hub.
        published: load the weights of that name; else only its configuration counts.
        options: changes to the configuration, such as ``num_labels`` or ``num_hidden_layers``.

    Raises:
        ModelError: if there is no such model, it needs code of its own, refuses the options, or the weights do not fit.
        LimbeckError: if transformers is not installed.
    """
    full = f"hf:{name}"
    transformers = optional("transformers", extra="text", wanted_by=full)
    options = dict(options)
    architecture = options.pop("architecture", None)
    folder = Path(name).expanduser()
    source = str(folder) if folder.is_dir() else name
    if source != str(folder) and (name.startswith(("/", ".", "~")) or name.count("/") > 1):
        raise ModelError(
            f"{full} names a folder. There is none at {folder}. Check the path, or give a name on the hub."
        )
    config = _configuration(transformers, full, source, options)
    kind = _architecture(transformers, full, architecture, config)
    if not published:
        return kind.from_config(config) if hasattr(kind, "from_config") else kind(config)
    try:
        with _quiet(transformers):
            model, found = kind.from_pretrained(
                source, config=config, dtype="float32", output_loading_info=True, trust_remote_code=False
            )
    except OSError as error:
        raise hub_error(full, error) from error
    except Exception as error:
        raise ModelError(
            f"{full} has weights that {kind.__name__} cannot take ({brief(error)}). Correct the options {options}, or "
            'ask for untrained weights: weights="random".'
        ) from error
    new = sorted(found["missing_keys"])
    if new and architecture is None:
        raise ModelError(
            f"{full} must bring all weights of {kind.__name__}. {len(new)} are missing ({', '.join(new[:3])}). Give "
            'the option architecture (such as "AutoModel") to accept new ones, or weights=FILE with all of them.'
        )
    return model


def _configuration(transformers: Any, full: str, source: str, options: dict[str, Any]) -> Any:
    try:
        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
    except OSError as error:
        if Path(source).is_dir():
            raise ModelError(
                f"{full} needs a config.json that transformers reads ({brief(error)}). Save the model with "
                "model.save_pretrained(FOLDER)."
            ) from error
        raise hub_error(full, error) from error
    except Exception as error:
        raise ModelError(
            f"{full} has a configuration that transformers {transformers.__version__} cannot read ({brief(error)}). "
            "Models with code of their own are not run; build such a model in a factory: path.py:factory."
        ) from error
    unknown = [key for key in options if not hasattr(config, key)]
    if unknown:
        raise ModelError(
            f"{full} takes the entries of its {type(config).__name__} as options. It has no '{unknown[0]}'. Correct it."
        )
    # Setting num_labels anew also rewrites id2label; the order of the options does not matter.
    config.update(options)
    parts = [config, *(each for each in vars(config).values() if hasattr(each, "_attn_implementation"))]
    fetched = [each._attn_implementation for each in parts if "/" in str(each._attn_implementation)]
    if fetched:
        # transformers fetches an attention so named from the hub and runs it.
        raise ModelError(
            f"{full} asks for the attention '{fetched[0]}', which is code from the hub. Correct its configuration, or "
            "build such a model in a factory: path.py:factory."
        )
    return config


def _architecture(transformers: Any, full: str, asked: str | None, config: Any) -> Any:
    named = asked or next(iter(config.architectures or []), "AutoModel")
    kind = getattr(transformers, str(named), None)
    chosen_later = hasattr(kind, "from_config") and str(named).startswith("AutoModel")
    if not chosen_later and not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise ModelError(
            f"{full} names the architecture '{named}'. transformers {transformers.__version__} has no such model. Give "
            'the option architecture, such as "AutoModel" or "AutoModelForSequenceClassification".'
        )
    return kind


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
