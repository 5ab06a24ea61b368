import pytest
from safetensors.torch import save_model

from tests.cli.typing_words import factories
from tests.toys import conv_net, trained


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_model(trained(conv_net(8)), str(file))
    return file


@pytest.fixture
def place(tmp_path, monkeypatch, teacher_file):
    """A working directory with factories of a pair and the weights of a trained teacher."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "my.py").write_text(factories())
    (tmp_path / "teacher.safetensors").write_bytes(teacher_file.read_bytes())
    return tmp_path
