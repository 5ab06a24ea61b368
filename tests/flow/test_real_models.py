"""Pairs of real families, with random weights and small settings, from plan to trained student."""

import pytest
import timm
import torch
from torch.utils.data import DataLoader
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

import limbeck

TEXT = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}


def sentences(count=24, labelled=True, language_model=False):
    torch.manual_seed(0)
    rows = []
    for index in range(count):
        length = 6 + index % 7
        mask = torch.tensor([1] * length + [0] * (12 - length))
        tokens = torch.randint(1, 60, (12,)) * mask
        row = {"input_ids": tokens, "attention_mask": mask}
        if language_model:
            row["labels"] = torch.where(mask.bool(), tokens, -100)
        elif labelled:
            row["labels"] = torch.tensor(index % 3)
        rows.append(row)
    return DataLoader(rows, batch_size=8)


def bert(layers, **options):
    torch.manual_seed(layers)
    return BertForSequenceClassification(BertConfig(**TEXT, num_hidden_layers=layers, num_labels=3, **options))


def distil_bert(layers):
    torch.manual_seed(layers)
    config = DistilBertConfig(vocab_size=60, dim=24, n_heads=2, hidden_dim=32, n_layers=layers, num_labels=3)
    return DistilBertForSequenceClassification(config)


def llama(layers, width):
    torch.manual_seed(layers)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=60, hidden_size=width, intermediate_size=48, num_hidden_layers=layers, num_attention_heads=2
        )
    )


def run(teacher, student, data, **options):
    return limbeck.distill(
        teacher, student, data, steps=3, lr=1e-3, check_teacher=False, progress=False, device="cpu", **options
    )


def linked(report):
    return [(term.student, term.teacher) for term in report.plan.terms]


def test_a_bert_classifier_teaches_a_distilbert_with_other_inputs_by_name():
    report = run(bert(4), distil_bert(2), sentences())
    assert len(report.plan.terms) == 3
    assert linked(report)[-1][0].startswith("classifier")
    assert {"CrossEntropy", "SoftLabels"} <= set(report.history.rows[-1]["terms"])


def test_an_encoder_without_a_head_is_taught_by_features_alone():
    torch.manual_seed(0)
    big, small = (BertModel(BertConfig(**TEXT, num_hidden_layers=layers), add_pooling_layer=False) for layers in (4, 2))
    report = run(big, small, sentences(labelled=False))
    assert report.plan.outputs == ()
    assert len(report.plan.terms) >= 2


def test_a_language_model_teaches_a_shallower_one_token_by_token():
    report = run(llama(4, 32), llama(2, 16), sentences(language_model=True))
    # The model shifts the labels by one token itself: cross-entropy with unshifted labels would teach it to copy.
    assert "OwnLoss" in report.history.rows[-1]["terms"]
    assert report.metric == "minus the student's own loss"
    specs = report.plan.student_sites
    assert all(spec.variable for spec in specs)


def test_a_language_model_of_another_family_is_linked_position_by_position():
    torch.manual_seed(0)
    small = GPT2LMHeadModel(GPT2Config(vocab_size=60, n_positions=40, n_embd=16, n_layer=2, n_head=2))
    report = run(llama(3, 32), small, sentences(language_model=True), recipe="features")
    assert all(not term.targets or term.targets[0].kind != "PoolVector" for term in report.plan.terms)


def test_the_models_own_loss_is_used():
    recipe = {"features": [], "outputs": [{"loss": {"kind": "OwnLoss"}}]}
    report = run(bert(4), bert(2), sentences(), recipe=recipe)
    assert list(report.history.rows[-1]["terms"]) == ["OwnLoss"]


def images(size=64, count=8, classes=5):
    torch.manual_seed(0)
    return DataLoader([(torch.randn(3, size, size), index % classes) for index in range(count)], batch_size=4)


PAIRS = [
    ("resnet10t", {}, "vit_tiny_patch16_224", {"img_size": 64}),
    ("vit_tiny_patch16_224", {"img_size": 64}, "resnet10t", {}),
    ("convnext_atto", {}, "mobilenetv3_small_050", {}),
    ("swin_tiny_patch4_window7_224", {"img_size": 64, "window_size": 4}, "efficientnet_lite0", {}),
    ("resnet50", {}, "mixer_s32_224", {"img_size": 64}),
]


@pytest.mark.parametrize(("teacher", "more", "student", "less"), PAIRS, ids=[f"{a} to {b}" for a, _, b, _ in PAIRS])
def test_vision_families_teach_each_other(teacher, more, student, less):
    big = timm.create_model(teacher, num_classes=5, **more)
    small = timm.create_model(student, num_classes=5, **less)
    report = run(big, small, images())
    order = {name: index for index, (name, _) in enumerate(big.named_modules())}
    teachers = [term.teacher.removesuffix(":input") for term in report.plan.terms]
    assert len(set(teachers)) == len(teachers)
    assert [order[name] for name in teachers[:-1]] == sorted(order[name] for name in teachers[:-1])
    assert report.plan.terms[-1].teacher.endswith(":input")
    assert report.plan.terms[-1].student.endswith(":input")
    assert all(value == value for value in report.history.rows[-1]["terms"].values())
