import json

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel, ViTConfig
from transformers import ViTForImageClassification as ViTClassifier

from limbeck.errors import ModelError
from limbeck.sources import load_model

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture
def classifier(tmp_path):
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(**TINY, vocab_size=50, num_labels=3))
    model.save_pretrained(tmp_path / "bert")
    return model, tmp_path / "bert"


def same(model, other):
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


def test_a_folder_gives_the_class_that_it_was_saved_from_with_its_weights(classifier):
    source, folder = classifier
    model = load_model(f"hf:{folder}")
    assert type(model) is BertForSequenceClassification
    assert same(model, source)


def test_an_image_classifier_keeps_its_head(tmp_path):
    source = ViTClassifier(ViTConfig(**TINY, image_size=16, patch_size=8, num_labels=4))
    source.save_pretrained(tmp_path)
    model = load_model(f"hf:{tmp_path}")
    assert same(model, source)
    assert model(torch.zeros(1, 3, 16, 16)).logits.shape == (1, 4)


def test_half_precision_files_are_read_in_float32(tmp_path, classifier):
    classifier[0].half().save_pretrained(tmp_path / "half")
    assert load_model(f"hf:{tmp_path / 'half'}").dtype == torch.float32


def test_random_weights_are_had_on_request(classifier):
    source, folder = classifier
    model = load_model(f"hf:{folder}", weights="random")
    assert type(model) is BertForSequenceClassification
    assert not same(model, source)


def test_options_change_the_configuration(classifier):
    model = load_model(f"hf:{classifier[1]}", weights="random", options={"num_hidden_layers": 1, "num_labels": 5})
    assert len(model.bert.encoder.layer) == 1
    assert model.classifier.out_features == 5


def test_weights_that_do_not_fit_the_options_are_refused(classifier):
    with pytest.raises(ModelError, match="cannot take"):
        load_model(f"hf:{classifier[1]}", options={"num_labels": 5})


def test_an_option_that_the_configuration_does_not_have_is_named(classifier):
    with pytest.raises(ModelError, match=r"BertConfig.*'num_lables'"):
        load_model(f"hf:{classifier[1]}", options={"num_lables": 5})


def test_another_architecture_is_had_on_request(classifier):
    model = load_model(f"hf:{classifier[1]}", options={"architecture": "AutoModel"})
    assert type(model) is BertModel
    torch.testing.assert_close(
        model.embeddings.word_embeddings.weight, classifier[0].bert.embeddings.word_embeddings.weight
    )


def test_an_unknown_architecture_is_named(classifier):
    with pytest.raises(ModelError, match="BertForNothing"):
        load_model(f"hf:{classifier[1]}", options={"architecture": "BertForNothing"})


def test_weights_missing_in_the_files_are_never_made_up(tmp_path, classifier):
    source, folder = classifier
    source.bert.save_pretrained(tmp_path / "trunk")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "trunk" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"missing.*classifier"):
        load_model(f"hf:{tmp_path / 'trunk'}")


def test_a_file_of_weights_replaces_those_of_the_folder(tmp_path, classifier):
    _, folder = classifier
    other = BertForSequenceClassification(BertConfig(**TINY, vocab_size=50, num_labels=3))
    torch.save(other.state_dict(), tmp_path / "other.pt")
    assert same(load_model(f"hf:{folder}", weights=tmp_path / "other.pt"), other)


def test_tied_weights_saved_once_are_read_into_both_places(tmp_path):
    source = BertForMaskedLM(BertConfig(**TINY, vocab_size=50))
    source.save_pretrained(tmp_path)
    model = load_model(f"hf:{tmp_path}", weights=tmp_path)
    assert same(model, source)


def test_a_folder_without_weights_is_an_error_that_offers_random_ones(classifier):
    (classifier[1] / "model.safetensors").unlink()
    with pytest.raises(ModelError, match='weights="random"'):
        load_model(f"hf:{classifier[1]}")


def test_a_folder_that_does_not_exist_is_not_looked_for_on_the_hub():
    with pytest.raises(ModelError, match=r"names a folder\. There is none"):
        load_model("hf:./no/such/folder")


def test_a_name_without_network_is_an_error_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="the hub could not be reached"):
        load_model("hf:bert-base-uncased")


def test_code_that_comes_with_a_model_is_not_run(tmp_path, monkeypatch, classifier):
    folder = classifier[1]
    (folder / "modeling_own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "own"
    config["auto_map"] = {"AutoConfig": "modeling_own.Own", "AutoModel": "modeling_own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ModelError, match="factory"):
        load_model(f"hf:{folder}")
    assert not (tmp_path / "ran").exists()


def test_loading_shows_no_progress_and_leaves_the_setting_as_it_was(classifier, capfd):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    load_model(f"hf:{classifier[1]}")
    assert logging.is_progress_bar_enabled() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["BertConfig", "pipeline", "BertTokenizer", "logging", "AutoTokenizer", "__doc__"])
def test_a_name_of_transformers_that_is_no_model_is_refused(classifier, name):
    file = classifier[1] / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architectures": [name]}))
    with pytest.raises(ModelError, match=f"names the architecture '{name}'"):
        load_model(f"hf:{classifier[1]}", weights="random")


def test_an_attention_that_is_code_from_the_hub_is_refused(classifier):
    file = classifier[1] / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "attn_implementation": "someone/kernel"}))
    with pytest.raises(ModelError, match="someone/kernel.*code from the hub"):
        load_model(f"hf:{classifier[1]}", weights="random")
    file.write_text(json.dumps({**json.loads(file.read_text()), "attn_implementation": None}))
    with pytest.raises(ModelError, match="someone/kernel.*code from the hub"):
        load_model(f"hf:{classifier[1]}", weights="random", options={"_attn_implementation": "someone/kernel"})
