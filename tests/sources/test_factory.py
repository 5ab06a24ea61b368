import os
import pickle
import sys

import pytest
import torch
from torch import nn

from limbeck.errors import ModelError
from limbeck.sources import load_model


@pytest.fixture(autouse=True)
def same_path_afterwards(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="net.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_file


def test_a_factory_in_a_file_is_called_with_the_options(write):
    path = write("from torch import nn\ndef make(width=4):\n    return nn.Linear(2, width)\n")
    assert load_model(f"{path}:make").out_features == 4
    assert load_model(f"{path}:make", options={"width": 9}).out_features == 9


def test_a_class_of_modules_is_a_factory_and_its_objects_can_be_pickled(write):
    path = write("from torch import nn\nclass Net(nn.Linear):\n    def __init__(self): super().__init__(2, 3)\n")
    model = load_model(f"{path}:Net")
    assert torch.equal(pickle.loads(pickle.dumps(model)).weight, model.weight)


def test_a_factory_imports_the_files_beside_it(write):
    write("WIDTH = 6\n", "limbeck_test_neighbour.py")
    path = write(
        "from torch import nn\n"
        "def make():\n"
        "    from limbeck_test_neighbour import WIDTH\n"
        "    return nn.Linear(2, WIDTH)\n"
    )
    assert load_model(f"{path}:make").out_features == 6


def test_a_module_in_the_working_directory_is_found(write, monkeypatch, tmp_path):
    write("from torch import nn\nmake = lambda: nn.Linear(2, 8)\n", "limbeck_test_here.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert load_model("limbeck_test_here:make").out_features == 8


def test_what_is_installed_is_never_hidden_by_the_factorys_folder(write):
    write("raise RuntimeError('this is not timm')\n", "colorsys.py")
    path = write("import colorsys\nfrom torch import nn\ndef make():\n    return nn.Linear(2, 1)\n")
    assert load_model(f"{path}:make").out_features == 1


def test_an_edited_file_is_read_anew(write):
    path = write("from torch import nn\ndef make():\n    return nn.Linear(2, 1)\n")
    assert load_model(f"{path}:make").out_features == 1
    write("from torch import nn\ndef make():\n    return nn.Linear(2, 2)\n")
    os.utime(path, ns=(1, 1))
    assert load_model(f"{path}:make").out_features == 2


def test_an_unedited_file_is_run_once(write):
    path = write("from torch import nn\nclass Net(nn.Linear):\n    def __init__(self): super().__init__(2, 3)\n")
    assert type(load_model(f"{path}:Net")) is type(load_model(f"{path}:Net"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def make():\n    return 3\n", "must return a torch.nn.Module. Found int"),
        ("def make(width):\n    return width\n", r"called with no arguments. It takes \(width\)"),
        ("def make():\n    raise OSError('disk gone')\n", r"failed: OSError: disk gone \(net.py, line 2\)"),
        ("def make():\n    import sys\n    sys.exit('done')\n", "failed: SystemExit: done"),
        (
            "import no_such_thing_here\n",
            r"could not be imported: ModuleNotFoundError: No module named 'no_such_thing_here'",
        ),
        ("def make(:\n", r"could not be imported: SyntaxError.*net\.py, line 1"),
        ("import sys\nsys.exit(3)\n", "could not be imported: SystemExit"),
        ("def build():\n    pass\ndef maker():\n    pass\n", "needs the name 'make'.*Nearest: 'maker'"),
        ("make = 3\n", "must be callable. Found a int"),
        ("from torch import nn\nmake = nn.Linear(1, 1)\n", "Found a ready Linear"),
    ],
    ids=["no module", "arguments", "fails", "exits", "import", "syntax", "exits on import", "no name", "int", "ready"],
)
def test_what_is_wrong_with_a_factory_is_said(write, text, complaint):
    with pytest.raises(ModelError, match=complaint):
        load_model(f"{write(text)}:make")


@pytest.mark.parametrize("name", ["collections:abc.Mapping", "pathlib:os.system", "collections:", "collections:a b"])
def test_a_factory_is_one_plain_name_of_its_module(name):
    with pytest.raises(ModelError, match=f"(factory|kind).*'{name}'"):
        load_model(name)


def test_options_that_the_factory_does_not_take_are_named(write):
    path = write("def make(width=4):\n    return None\n")
    with pytest.raises(ModelError, match=r"'depth'.*\(width=4\)"):
        load_model(f"{path}:make", options={"depth": 3})


def test_a_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nothing\.py\. There is none"):
        load_model(f"{tmp_path / 'nothing.py'}:make")


@pytest.mark.parametrize("name", ["no_such_package.module:make", "torch.no_such_module:make"])
def test_a_module_that_does_not_exist_is_named(name):
    with pytest.raises(ModelError, match="needs the module"):
        load_model(name)


def test_weights_fill_the_model_of_a_factory(write, tmp_path):
    source = nn.Linear(2, 4)
    torch.save({"state_dict": source.state_dict(), "epoch": 3}, tmp_path / "weights.pth")
    path = write("from torch import nn\ndef make():\n    return nn.Linear(2, 4)\n")
    assert torch.equal(load_model(f"{path}:make", weights=tmp_path / "weights.pth").weight, source.weight)


def test_a_factory_is_not_asked_for_published_weights(write):
    path = write("from torch import nn\ndef make():\n    return nn.Linear(2, 4)\n")
    with pytest.raises(ModelError, match="is a factory, which decides itself"):
        load_model(f"{path}:make", weights="pretrained")


def test_an_interrupt_inside_of_a_factory_is_passed_on(write):
    path = write("def make():\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_model(f"{path}:make")
