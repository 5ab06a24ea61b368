"""Every recipe that is meant for a task trains a small pair of its kind."""

import pytest
import timm
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import BertModel, LlamaConfig, LlamaForCausalLM

import limbeck
from limbeck.recipe import Recipe, shipped_recipes
from limbeck.recipe.recipe import SHIPPED
from tests.integrations.berts import bert, sentences
from tests.toys import loader, pair


def texts(*keys):
    def collate(rows):
        return {key: torch.tensor([row[key] for row in rows]) for key in keys}

    return DataLoader(sentences(), batch_size=8, shuffle=True, collate_fn=collate)


def classification():
    return bert(16, 4, seed=1), bert(8, 2), texts("input_ids", "attention_mask", "labels")


def embeddings():
    teacher, student = (BertModel(each.config, add_pooling_layer=False) for each in (bert(16, 4, seed=1), bert(8, 2)))
    return teacher, student, texts("input_ids", "attention_mask")


def photographs():
    return *pair(), loader()


def segmentation():
    def network(width):
        layers = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, padding=1), nn.ReLU()]
        return nn.Sequential(*layers, nn.Upsample(scale_factor=2), nn.Conv2d(2 * width, 3, 1))

    torch.manual_seed(0)
    x = torch.randn(32, 1, 8, 8)
    data = TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 0] > 1).long())
    return network(8), network(3), DataLoader(data, batch_size=8, shuffle=True)


def language():
    def llama(layers, width):
        sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_attention_heads": 2}
        return LlamaForCausalLM(LlamaConfig(vocab_size=20, num_hidden_layers=layers, num_key_value_heads=2, **sizes))

    torch.manual_seed(0)
    rows = [{"input_ids": row, "labels": row} for row in torch.randint(0, 20, (32, 6))]
    return llama(3, 16), llama(1, 8), DataLoader(rows, batch_size=8, shuffle=True)


def shallower():
    return bert(16, 4, seed=1), bert(16, 2), texts("input_ids", "attention_mask", "labels")


def shallower_images():
    torch.manual_seed(0)
    options = {"num_classes": 4, "in_chans": 1, "channels": (4, 8, 8, 8), "stem_width": 4}
    teacher, student = (
        timm.models.resnet.ResNet(timm.models.resnet.BasicBlock, layers, **options)
        for layers in ((2, 2, 2, 2), (1, 1, 1, 1))
    )
    return teacher, student, loader()


PAIRS = {
    "text-classification": [classification],
    "sentence-embeddings": [embeddings],
    "image-classification": [photographs],
    "dense-prediction": [segmentation],
    "language-model": [language],
    "self-distillation": [shallower, shallower_images],
}


def test_every_recipe_for_a_task_has_a_pair_here():
    assert {name for name in shipped_recipes() if Recipe.load(name).task} == set(PAIRS)


@pytest.mark.parametrize(("name", "make"), [(name, make) for name, pairs in PAIRS.items() for make in pairs])
def test_it_trains(name, make):
    teacher, student, data = make()
    options = {"steps": 2, "lr": 1e-3, "check_teacher": False, "progress": False}
    report = limbeck.distill(teacher, student, data, recipe=name, **options)
    rows = list(report.history)
    assert rows[-1]["step"] == 2
    assert all(torch.isfinite(torch.tensor(list(row["terms"].values()))).all() for row in rows)
    recipe = Recipe.load(name)
    assert len(report.plan.terms) >= len(recipe.features)
    assert len(report.plan.outputs) == len(recipe.outputs)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_can_be_read_aloud(name):
    assert len((SHIPPED / f"{name}.yaml").read_text().splitlines()) <= 40
    assert Recipe.load(name).summary
