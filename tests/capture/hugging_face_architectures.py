"""Small networks of transformers with random weights; what is expected is read from their configurations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from torch import nn

from limbeck.batch import Batch
from tests.capture.architecture import Architecture, Expected, Stage

WORDS, LENGTH = 60, 9
SIZES = {"vocab_size": WORDS, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
LAYERS = {"num_hidden_layers": 3}
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def words() -> Batch:
    """Three sentences, of which the second is padded."""
    ids = torch.randint(3, WORDS, (3, LENGTH))
    mask = torch.ones(3, LENGTH, dtype=torch.long)
    mask[1, -3:] = 0
    return Batch({"input_ids": ids * mask, "attention_mask": mask})


def text(
    name: str,
    build: Callable[[], nn.Module],
    blocks: str,
    head: str | None,
    *,
    depth: Callable[[Any], int] = lambda config: config.num_hidden_layers,
    summary: int | None = None,
    head_axes: str = "BC",
    own_end: bool = True,
) -> Architecture:
    """A network over padded sentences.

    Args:
        name: of the row.
        build: makes it.
        blocks: dotted name of the list of blocks.
        head: dotted name of the head.
        depth: number of blocks, from the configuration.
        summary: the token that the head reads.
        head_axes: of what the head reads.
        own_end: whether something follows the last block; if not, its output is the final one and stands there.
    """

    def expected(model: Any) -> Expected:
        count = depth(model.config)
        sites = count if own_end else count - 1
        width = model.config.hidden_size
        # Where the last block's output is the final one, the stage ends with the encoder itself.
        end = Stage(width, (LENGTH,), "BNC", 0, blocks) if own_end else None
        return Expected((end,) if end else (), sites, head, width, summary, True, head_axes)

    return Architecture(name, build, words, expected)


def image(name: str, build: Callable[[], nn.Module], blocks: str, head: str, prefix: int) -> Architecture:
    def expected(model: Any) -> Expected:
        config = model.config
        side = config.image_size // config.patch_size
        stage = Stage(config.hidden_size, (side, side), "BNC", prefix, f"{blocks}.{config.num_hidden_layers - 1}")
        return Expected((stage,), config.num_hidden_layers, head, config.hidden_size, 0)

    return Architecture(name, build, lambda: Batch({"pixel_values": torch.randn(3, 3, 32, 32)}), expected)


def speech(
    name: str, build: Callable[[], nn.Module], inputs: dict[str, tuple[int, ...]], end: Expected
) -> Architecture:
    return Architecture(
        name, build, lambda: Batch({key: torch.randn(shape) for key, shape in inputs.items()}), lambda _: end
    )


def gpt2(**options: Any) -> hf.GPT2Config:
    return hf.GPT2Config(vocab_size=WORDS, n_embd=32, n_layer=3, n_head=4, n_positions=16, **SPECIAL, **options)


def t5() -> hf.T5Config:
    return hf.T5Config(vocab_size=WORDS, d_model=32, d_ff=48, num_layers=3, num_heads=4, d_kv=8)


def wav2vec2() -> nn.Module:
    config = hf.Wav2Vec2Config(
        **SIZES,
        **LAYERS,
        conv_dim=(16, 16, 16),
        conv_kernel=(10, 3, 3),
        conv_stride=(5, 2, 2),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=24,
        num_labels=5,
    )
    return hf.Wav2Vec2ForSequenceClassification(config)


def whisper() -> nn.Module:
    config = hf.WhisperConfig(
        d_model=32,
        encoder_layers=3,
        encoder_attention_heads=4,
        encoder_ffn_dim=48,
        max_source_positions=50,
        num_mel_bins=16,
    )
    return hf.models.whisper.modeling_whisper.WhisperEncoder(config)


# 1600 samples: (1600 - 10) // 5 + 1 = 319, (319 - 3) // 2 + 1 = 159, (159 - 3) // 2 + 1 = 79.
WAVES = Stage(32, (79,), "BNC", 0, "wav2vec2.encoder.layers.2")
# 100 frames of the spectrogram, halved by the second convolution.
FRAMES = Stage(32, (50,), "BNC", 0, "layers.2")

HUGGING_FACE = [
    text(
        "BERT classifier",
        lambda: hf.BertForSequenceClassification(hf.BertConfig(**SIZES, **LAYERS, num_labels=4)),
        "bert.encoder.layer",
        "classifier",
        summary=0,
    ),
    text(
        "BERT encoder",
        lambda: hf.BertModel(hf.BertConfig(**SIZES, **LAYERS)),
        "encoder.layer",
        None,
        own_end=False,
        head_axes="BNC",
    ),
    text(
        "BERT masked language model",
        lambda: hf.BertForMaskedLM(hf.BertConfig(**SIZES, **LAYERS)),
        "bert.encoder.layer",
        "cls.predictions.decoder",
        head_axes="BNC",
    ),
    text(
        "RoBERTa classifier",
        lambda: hf.RobertaForSequenceClassification(
            hf.RobertaConfig(**SIZES, **LAYERS, **SPECIAL, max_position_embeddings=40)
        ),
        "roberta.encoder.layer",
        "classifier.out_proj",
        summary=0,
    ),
    text(
        "DistilBERT classifier",
        lambda: hf.DistilBertForSequenceClassification(
            hf.DistilBertConfig(vocab_size=WORDS, dim=32, n_layers=3, n_heads=4, hidden_dim=48)
        ),
        "distilbert.transformer.layer",
        "classifier",
        summary=0,
    ),
    text("GPT-2", lambda: hf.GPT2LMHeadModel(gpt2()), "transformer.h", "lm_head", head_axes="BNC"),
    text(
        "GPT-2 classifier",
        lambda: hf.GPT2ForSequenceClassification(gpt2(num_labels=3)),
        "transformer.h",
        "score",
        summary=-1,
        head_axes="BNC",
    ),
    text(
        "Llama",
        lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES, **LAYERS, num_key_value_heads=2)),
        "model.layers",
        "lm_head",
        head_axes="BNC",
    ),
    text("T5 encoder", lambda: hf.T5EncoderModel(t5()), "encoder.block", None, head_axes="BNC"),
    text(
        "ALBERT classifier",
        lambda: hf.AlbertForSequenceClassification(
            hf.AlbertConfig(**SIZES, num_hidden_layers=4, embedding_size=16, num_labels=5)
        ),
        "albert.encoder.albert_layer_groups.0.albert_layers.0@3",
        "classifier",
        summary=0,
    ),
    image(
        "ViT of transformers",
        lambda: hf.ViTForImageClassification(
            hf.ViTConfig(**{**SIZES, **LAYERS}, image_size=32, patch_size=8, num_labels=5)
        ),
        "vit.layers",
        "classifier",
        1,
    ),
    speech(
        "Wav2Vec2 classifier",
        wav2vec2,
        {"input_values": (3, 1600)},
        Expected((WAVES,), 3, "classifier", 24),
    ),
    speech(
        "Whisper encoder",
        whisper,
        {"input_features": (3, 16, 100)},
        Expected((FRAMES,), 3, None, 32, None, False, "BNC"),
    ),
]
