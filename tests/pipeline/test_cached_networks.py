"""With an exact cache, a transformer teaches what it teaches live: class tokens and padding are kept."""

import pytest
import timm
import torch
import transformers
from torch.utils.data import DataLoader, Dataset, TensorDataset

import limbeck
from limbeck.errors import PlanMismatch
from tests.toys import conv_net

OPTIONS = {"steps": 4, "lr": 0.01, "check_teacher": False, "progress": False}


def vision():
    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 4}
    teacher = timm.models.vision_transformer.VisionTransformer(in_chans=1, **sizes)
    data = TensorDataset(torch.randn(48, 1, 32, 32), torch.arange(48) % 4)
    return teacher, conv_net(4), DataLoader(data, batch_size=16)


class Sentences(Dataset):
    """Padded to one length, or to another in the last batches."""

    def __init__(self, long=12, short=12):
        self.long, self.short = long, short
        generator = torch.Generator().manual_seed(0)
        self.ids = torch.randint(1, 50, (48, 12), generator=generator)
        self.lengths = torch.randint(3, 13, (48,), generator=generator)

    def __len__(self):
        return 48

    def __getitem__(self, index):
        length = self.long if index < 32 else self.short
        mask = (torch.arange(length) < self.lengths[index]).long()
        return {"input_ids": self.ids[index, :length] * mask, "attention_mask": mask, "labels": index % 3}


def text(short=12):
    sizes = {"vocab_size": 50, "intermediate_size": 32, "num_attention_heads": 2, "num_labels": 3}
    models = []
    for seed, (width, depth) in enumerate([(24, 3), (16, 2)]):
        torch.manual_seed(seed)
        config = transformers.BertConfig(hidden_size=width, num_hidden_layers=depth, **sizes)
        models.append(transformers.BertForSequenceClassification(config))
    return *models, DataLoader(Sentences(short=short), batch_size=16)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", [None, {"mapping": {"kind": "SameDepth", "links": 2}, "features": [{"loss": "MSE"}]}]
)
@pytest.mark.parametrize("make", [vision, text])
def test_an_exact_cache_teaches_what_the_live_teacher_does(make, recipe, tmp_path):
    live = limbeck.distill(*make(), recipe=recipe, **OPTIONS)
    cached = limbeck.distill(*make(), recipe=recipe, cache=tmp_path, cache_encoding="float32", **OPTIONS)
    assert torch.allclose(torch.tensor(cached.before), torch.tensor(live.before), atol=1e-3)
    for mine, theirs in zip(cached.student.parameters(), live.student.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


def test_text_whose_length_changes_is_refused_with_advice(tmp_path):
    with pytest.raises(PlanMismatch, match="Pad all batches to one length"):
        limbeck.distill(*text(short=9), validation=DataLoader(Sentences(), batch_size=16), cache=tmp_path, **OPTIONS)
