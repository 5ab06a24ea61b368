"""A U-Net teaches a much smaller one to find discs, squares and triangles; mean IoU of three ways to learn.

Run: python examples/segmentation.py (two minutes on one core)
"""

import torch
from torch import nn

import limbeck


def scenes(count, seed, size=32):
    rng, place = torch.Generator().manual_seed(seed), torch.arange(size)
    images, labels = torch.rand(count, 3, 1, 1, generator=rng), torch.zeros(count, size, size, dtype=torch.long)
    for kind, y, x, r, *colour in torch.rand(2, 7, count, 1, 1, generator=rng):
        dy, dx, r = place[:, None] - size * y, place - size * x, 5 + 4 * r
        square = torch.maximum(dx.abs(), dy.abs()) < r
        shape = torch.stack([dx**2 + dy**2 < r**2, square, square & (2 * dx.abs() < dy + r)])
        shape = shape.gather(0, (3 * kind).long().expand(1, -1, size, size))[0]
        images = torch.where(shape[:, None], 1.5 * torch.stack(colour, 1), images)
        labels = torch.where(shape, 1 + (3 * kind).long(), labels)
    return torch.utils.data.TensorDataset(images + 0.1 * torch.randn(images.shape, generator=rng), labels)


class UNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        sizes = [(3, width), (width, 2 * width), (2 * width, 4 * width), (6 * width, 2 * width), (3 * width, width)]
        blocks = [nn.Sequential(nn.Conv2d(n, m, 3, padding=1), nn.BatchNorm2d(m), nn.ReLU()) for n, m in sizes]
        self.top, self.middle, self.bottom, self.up, self.out = blocks
        self.pool, self.larger, self.head = nn.MaxPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(width, 4, 1)

    def forward(self, images):
        middle = self.middle(self.pool(top := self.top(images)))
        up = self.up(torch.cat([self.larger(self.bottom(self.pool(middle))), middle], 1))
        return self.head(self.out(torch.cat([self.larger(up), top], 1)))


@torch.no_grad()
def mean_iou(model, data):
    pairs = 4 * data.tensors[1] + model.eval()(data.tensors[0]).argmax(1)
    table = pairs.flatten().bincount(minlength=16).reshape(4, 4)
    return (table.diag() / (table.sum(0) + table.sum(1) - table.diag())).mean().item()


def main(seed=0, count=600, widths=(16, 6), epochs=24):
    test, train = scenes(400, 1000 + seed), scenes(count, seed)
    train = torch.utils.data.DataLoader(train, batch_size=32, shuffle=True)
    torch.manual_seed(seed)
    teacher, settings = UNet(widths[0]), {"epochs": epochs, "lr": 1e-2, "seed": seed, "check_teacher": False}
    limbeck.distill(UNet(1), teacher, train, recipe="labels", **settings)
    print(f"teacher     {mean_iou(teacher, test):.3f}")
    for name, recipe in (("alone", "labels"), ("soft labels", "soft-labels"), ("limbeck", "dense-prediction")):
        torch.manual_seed(seed)
        limbeck.distill(teacher, student := UNet(widths[1]), train, recipe=recipe, **settings)
        print(f"{name:<11} {mean_iou(student, test):.3f}", flush=True)


if __name__ == "__main__":
    main()
