"""A small language model teaches a shallower, narrower one the text of Python's own help; perplexities in the end.

Run: python examples/language_model.py (some minutes on one core)
"""

import math
from pydoc_data.topics import topics

import torch
from tokenizers import ByteLevelBPETokenizer
from torch.utils.data import DataLoader
from transformers import LlamaConfig, LlamaForCausalLM

import limbeck

LABELS = {"loss": {"kind": "CrossEntropy"}}
RECIPES = {
    "alone": {"features": [], "outputs": [LABELS]},
    "soft labels": {"features": [], "outputs": [LABELS, {"loss": {"kind": "SoftLabels", "temperature": 2.0}}]},
    "limbeck": "auto",
}


def texts(words, length, blocks):
    tokenizer, pages = ByteLevelBPETokenizer(), [topics[name] for name in sorted(topics)]
    tokenizer.train_from_iterator(pages, vocab_size=words, show_progress=False)
    tokens = torch.tensor([token for page in tokenizer.encode_batch(pages) for token in page.ids])
    found = tokens[: len(tokens) // length * length].reshape(-1, length)
    found = found[torch.randperm(len(found), generator=torch.Generator().manual_seed(0))][:blocks]
    rows, kept = [{"input_ids": block, "labels": block} for block in found], len(found) * 8 // 10
    return DataLoader(rows[:kept], batch_size=16, shuffle=True), DataLoader(rows[kept:], batch_size=16)


def llama(words, layers, width):
    sizes = {"hidden_size": width, "intermediate_size": 3 * width, "num_attention_heads": width // 32}
    return LlamaForCausalLM(LlamaConfig(vocab_size=words, num_hidden_layers=layers, tie_word_embeddings=True, **sizes))


@torch.no_grad()
def perplexity(model, loader):
    model.eval()
    return math.exp(sum(model(**batch).loss.item() for batch in loader) / len(loader))


def main(seed=0, words=2000, length=64, blocks=None, epochs=4):
    torch.manual_seed(seed)
    train, test = texts(words, length, blocks)
    teacher = llama(words, 4, 128)
    settings = {"epochs": epochs, "lr": 3e-3, "seed": seed, "check_teacher": False}
    limbeck.distill(llama(words, 1, 32), teacher, train, recipe=RECIPES["alone"], **settings)
    print(f"teacher      {perplexity(teacher, test):8.2f}")
    for name, recipe in RECIPES.items():
        torch.manual_seed(seed)
        student = llama(words, 2, 64)
        limbeck.distill(teacher, student, train, recipe=recipe, **settings)
        print(f"{name:<12} {perplexity(student, test):8.2f}")


if __name__ == "__main__":
    main()
