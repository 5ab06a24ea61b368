"""The layout of the repository is a promise too."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "limbeck"
VAGUE = {"utils", "common", "core", "misc", "helpers", "base"}


def test_no_file_or_folder_has_a_vague_name():
    assert not [path for path in SOURCE.rglob("*") if path.stem in VAGUE]


def test_no_folder_lies_deeper_than_two():
    deep = [path for path in SOURCE.rglob("*.py") if len(path.relative_to(SOURCE).parts) > 2]
    assert not deep


def test_no_source_file_is_longer_than_350_lines():
    long = {str(path): len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert not {path: lines for path, lines in long.items() if lines > 350}


def test_source_raises_instead_of_asserting_and_prints_nowhere():
    for path in SOURCE.rglob("*.py"):
        code = [line.strip() for line in path.read_text().splitlines() if not line.strip().startswith((">>>", "..."))]
        assert not [line for line in code if line.startswith(("assert ", "print("))], path


def test_importing_limbeck_loads_neither_torch_nor_prints():
    script = "import sys, limbeck; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_help_answers_without_torch():
    script = (
        "import sys\nfrom limbeck.cli.app import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
    assert "distill" in done.stdout


def test_every_public_name_can_be_imported():
    import limbeck

    for name in limbeck.__all__:
        assert getattr(limbeck, name) is not None
