"""Your own training loop around limbeck: it plans and gives the loss, the loop is yours.

Run: python examples/own_loop.py
"""

import torch
from torch import nn

import limbeck
from limbeck.batch import adapt_batch
from limbeck.planning import build, fit_targets
from limbeck.sources import load_data

EPOCHS = 100


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(x).argmax(1) == y for x, y in loader]).float().mean().item()


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

    plan = limbeck.plan(teacher, student, data.train)
    distiller = build(plan, student, total_steps=EPOCHS * len(data.train))
    with limbeck.Teacher(teacher, plan.teacher_sites) as source:
        fit_targets(distiller, source, [adapt_batch(raw) for raw in data.train])
        optimizer = torch.optim.AdamW(distiller.parameters(), lr=0.01)  # the student and the projectors
        for epoch in range(EPOCHS):
            distiller.train()
            for batch in map(adapt_batch, data.train):
                out = distiller(batch, source(batch))
                optimizer.zero_grad()
                out.loss.backward()
                optimizer.step()
                distiller.step()  # balancer and schedule move on
            if epoch % 25 == 24:
                terms = dict(zip(distiller.names, [round(value, 3) for value in out.terms.tolist()], strict=True))
                print(f"epoch {epoch + 1}: {terms}, accuracy {accuracy(student, data.validation):.3f}")
    distiller.close()
    print(f"test: teacher {accuracy(teacher, data.test):.3f}, student {accuracy(student, data.test):.3f}")


if __name__ == "__main__":
    main()
