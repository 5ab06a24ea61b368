"""A pair of small BERTs, sentences of several lengths, and a trainer for them."""

import torch
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments, set_seed

from limbeck.integrations.transformers import DistillationTrainer


def bert(width, layers, seed=0):
    set_seed(seed)
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(vocab_size=20, num_hidden_layers=layers, **sizes))


def sentences(count=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for index in range(count):
        length = 4 + index % 4
        words = torch.randint(4, 20, (length,), generator=generator).tolist()
        words[1] = 2 + index % 2
        padding = 8 - length
        rows.append(
            {
                "input_ids": words + [0] * padding,
                "attention_mask": [1] * length + [0] * padding,
                "labels": index % 2,
                "text": "a column that no model takes",
            }
        )
    return rows


def arguments(folder, **options):
    known = {
        "max_steps": 6, "per_device_train_batch_size": 8, "report_to": "none", "use_cpu": True, "disable_tqdm": True,
        "logging_steps": 1, "save_strategy": "no", "learning_rate": 1e-3,
    }  # fmt: skip
    return TrainingArguments(str(folder), **{**known, **options})


def trainer(
    folder, *, student=None, teacher=None, rows=None, plan=None, recipe=None, callbacks=None, collator=None, **options
):
    return DistillationTrainer(
        student or bert(8, 2),
        teacher or bert(16, 4, seed=1),
        arguments(folder, **options),
        train_dataset=rows or sentences(),
        eval_dataset=sentences(12, seed=5),
        plan=plan,
        recipe=recipe,
        callbacks=callbacks,
        data_collator=collator,
        compute_metrics=accuracy,
    )


def accuracy(predictions):
    return {"accuracy": float((predictions.predictions.argmax(1) == predictions.label_ids).mean())}
