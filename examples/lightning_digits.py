"""Distillation by the Trainer of Lightning, on handwritten digits of which few are labelled.

Run: python examples/lightning_digits.py
"""

import torch
from pytorch_lightning import Trainer
from torch import nn

from limbeck.integrations.lightning import DistillationModule
from limbeck.sources import load_data

EPOCHS = 100
QUIET = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_model_summary": False}


def trained_teacher(loader):
    model = nn.Sequential(nn.Conv2d(1, 9, 3), nn.ReLU(), nn.Flatten(), nn.Linear(324, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    for x, y in [batch for _ in range(6) for batch in loader]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def main():
    torch.manual_seed(0)
    data = load_data("digits", options={"train": 100})
    teacher = trained_teacher(load_data("digits").train)
    student = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    module = DistillationModule(student, teacher, data.train, lr=0.01)
    print(module.plan)
    trainer = Trainer(max_epochs=EPOCHS, check_val_every_n_epoch=25, log_every_n_steps=1, **QUIET)
    trainer.fit(module, data.train, data.validation)
    (found,) = trainer.test(module, data.test, verbose=False)
    module.close()
    print(f"test: student {found['test_accuracy']:.3f}")


if __name__ == "__main__":
    main()
