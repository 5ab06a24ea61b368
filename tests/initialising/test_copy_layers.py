"""Which layers a student is given, on real architectures with random weights."""

import copy

import pytest
import timm
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from limbeck.errors import ModelError
from limbeck.initialising import copy_layers


def bert(layers, width=16, labels=3, seed=0):
    torch.manual_seed(seed)
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_attention_heads": 2}
    config = BertConfig(vocab_size=20, num_hidden_layers=layers, num_labels=labels, **sizes)
    return BertForSequenceClassification(config).eval()


@pytest.mark.parametrize(
    ("which", "expected"), [("spread", (0, 4, 7, 11)), ("first", (0, 1, 2, 3)), ("last", (8, 9, 10, 11))]
)
def test_a_shallower_transformer_gets_whole_layers_embeddings_and_head(which, expected):
    teacher, student = bert(12), bert(4, seed=1)
    found = copy_layers(student, teacher, which)
    for index, layer in enumerate(expected):
        mine, theirs = (
            each.state_dict() for each in (student.bert.encoder.layer[index], teacher.bert.encoder.layer[layer])
        )
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert torch.equal(student.classifier.weight, teacher.classifier.weight)
    assert found.numbers == found.of


def test_a_student_of_the_teachers_own_architecture_answers_as_the_teacher():
    teacher, student = (timm.create_model("resnet18", num_classes=5) for _ in range(2))
    copy_layers(student, teacher)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(student.eval()(x), teacher.eval()(x))


def test_a_student_of_another_number_of_classes_keeps_its_head():
    teacher, student = bert(4), bert(2, labels=7, seed=1)
    head = copy.deepcopy(student.classifier.state_dict())
    found = copy_layers(student, teacher)
    assert all(torch.equal(head[name], student.classifier.state_dict()[name]) for name in head)
    assert found.numbers == found.of - sum(each.numel() for each in head.values())


def test_stages_that_begin_with_another_block_get_that_block():
    teacher, student = (timm.create_model(name, num_classes=5) for name in ("resnet34", "resnet18"))
    found = copy_layers(student, teacher)
    # The first block of a stage is the only one that changes width; the last of 3, 4, 6 and 3 is the farthest.
    assert found.tensors["layer1.1.conv1.weight"] == "layer1.2.conv1.weight"
    assert found.tensors["layer3.0.conv1.weight"] == "layer3.0.conv1.weight"
    assert found.tensors["layer3.1.conv1.weight"] == "layer3.5.conv1.weight"
    assert found.numbers == found.of


def test_blocks_within_stages_are_counted_stage_by_stage():
    options = {"embed_dim": 8, "num_heads": (1, 1, 2, 2), "num_classes": 5, "img_size": 64, "window_size": 2}
    make = timm.models.swin_transformer.SwinTransformer
    teacher, student = make(depths=(2, 2, 6, 2), **options), make(depths=(2, 2, 2, 2), **options)
    found = copy_layers(student, teacher)
    name = "attn.qkv.weight"
    assert found.tensors[f"layers.2.blocks.1.{name}"] == f"layers.2.blocks.5.{name}"
    assert found.tensors[f"layers.3.blocks.1.{name}"] == f"layers.3.blocks.1.{name}"


def test_a_block_is_copied_whole_or_not_at_all():
    teacher, student = (timm.create_model(name, num_classes=5) for name in ("resnet50", "resnet18"))
    found = copy_layers(student, teacher)
    # The blocks have norms of one shape, but other convolutions.
    assert {name.split(".")[0] for name in found.tensors} == {"conv1", "bn1"}


def test_a_deeper_student_gets_blocks_twice():
    teacher, student = bert(2), bert(4, seed=1)
    found = copy_layers(student, teacher)
    layers = [found.tensors[f"bert.encoder.layer.{index}.output.dense.weight"].split(".")[3] for index in range(4)]
    assert layers == sorted(layers)
    assert set(layers) == {"0", "1"}


def test_tied_weights_stay_tied():
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"vocab_size": 20, "n_embd": 8, "n_head": 2, "n_positions": 16}
    teacher, student = (GPT2LMHeadModel(GPT2Config(n_layer=layers, **sizes)) for layers in (4, 2))
    copy_layers(student, teacher)
    assert student.lm_head.weight is student.transformer.wte.weight
    assert torch.equal(student.lm_head.weight, teacher.lm_head.weight)


def test_the_teacher_and_the_students_flags_stay_as_they_are():
    teacher, student = bert(4), bert(2, seed=1)
    before = copy.deepcopy(teacher.state_dict())
    parameters = list(student.parameters())
    parameters[0].requires_grad_(False)
    copy_layers(student, teacher)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(one is other for one, other in zip(parameters, student.parameters(), strict=True))
    assert [each.requires_grad for each in student.parameters()][:2] == [False, True]


def test_models_that_have_nothing_in_common_are_refused():
    with pytest.raises(ModelError, match="names and shapes agree"):
        copy_layers(nn.Linear(3, 2), nn.Sequential(nn.Linear(4, 2)))
