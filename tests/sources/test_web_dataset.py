import io
import json
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from PIL import Image

from limbeck.cache.keying import key_loaders
from limbeck.errors import DataError
from limbeck.sources import load_data
from limbeck.sources.tar_sample import key_and_kind

webdataset = pytest.importorskip("webdataset")
SMALL = {"size": 14, "mean": [0, 0, 0], "std": [1, 1, 1]}


def png(value):
    content = io.BytesIO()
    Image.new("RGB", (20, 16), (value, value, value)).save(content, "PNG")
    return content.getvalue()


def add(shard, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


@pytest.fixture
def write_shards(tmp_path):
    """Two shards of three samples each, whose pixels are ten times their number; labels 0 and 1 in turn."""

    def write(name="photos", compression="", label=lambda number: {"cls": str(number % 2).encode()}):
        for shard in range(2):
            with tarfile.open(tmp_path / f"{name}-000{shard}.tar", f"w:{compression}") as file:
                for number in range(3 * shard, 3 * shard + 3):
                    files = {"png": png(10 * number), **label(number)}
                    for kind, content in files.items():
                        add(file, f"./{number:04}.{kind}", content)
        return f"webdataset:{tmp_path}/{name}-{{0000..0001}}.tar"

    return write


def levels(images):
    return (images[:, 0, 0, 0] * 25.5).round().int().tolist()


def collected(loader):
    images, labels = zip(*loader, strict=True)
    return levels(torch.cat(images)), torch.cat(labels).tolist()


def test_local_shards_are_read_from_their_places_in_any_order(write_shards):
    data = load_data(write_shards(), batch_size=4, options=SMALL)
    found = [collected(data.train) for _ in range(2)]
    assert found[0] != found[1], "the second epoch has the order of the first"
    for numbers, labels in found:
        assert sorted(numbers) == list(range(6))
        assert labels == [number % 2 for number in numbers]
    assert data.classes == 2
    assert next(iter(data.train))[0].shape == (4, 3, 14, 14)


def test_samples_are_known_by_their_place_and_their_key(write_shards):
    data = load_data(write_shards(), options=SMALL)
    assert data.train.dataset.keys == [f"./{number:04}" for number in range(6)]
    loaders = key_loaders(data.train, None)
    assert (loaders.samples, loaders.views) == (6, 1)
    batch = next(iter(loaders.train))
    assert levels(batch.raw[0]) == batch.keys[:, 0].tolist()


def test_shards_are_read_by_several_workers(write_shards):
    name = write_shards()
    for stream in (False, True):
        data = load_data(name, batch_size=4, options={**SMALL, "workers": 2, "stream": stream})
        assert sorted(collected(data.train)[0]) == list(range(6))


def test_other_parts_and_patterns_with_a_star(write_shards, tmp_path):
    write_shards("held")
    options = {**SMALL, "validation": f"{tmp_path}/held-*.tar", "test": f"{tmp_path}/held-0001.tar"}
    data = load_data(write_shards(), options=options)
    assert collected(data.validation) == (list(range(6)), [0, 1] * 3)
    assert collected(data.test) == ([3, 4, 5], [1, 0, 1])


def test_a_stream_is_in_an_order_that_torchs_seed_decides(write_shards):
    data = load_data(write_shards(), options={**SMALL, "stream": True, "validation": write_shards()[11:]})
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(collected(data.train))
    assert found[0] == found[1] != found[2]
    assert sorted(found[0][0]) == list(range(6))
    assert found[0][1] == [number % 2 for number in found[0][0]]
    assert collected(data.validation)[0] == list(range(6))
    assert data.classes is None


def test_a_stream_cannot_be_cached_and_says_so(write_shards):
    data = load_data(write_shards(), options={**SMALL, "stream": True})
    with pytest.raises(DataError, match="the data set is a stream"):
        key_loaders(data.train, None)


def test_shards_at_an_address_are_a_stream(write_shards, tmp_path):
    write_shards()
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/photos-{{0000..0001}}.tar"
        data = load_data(f"webdataset:{address}", options=SMALL)
        assert sorted(collected(data.train)[0]) == list(range(6))
        with pytest.raises(DataError, match="only be read as a stream"):
            load_data(f"webdataset:{address}", options={"stream": False})
        server.shutdown()


def test_labels_may_stand_in_json_or_be_missing(write_shards):
    written = write_shards("j", label=lambda number: {"json": json.dumps({"kind": number % 3}).encode()})
    data = load_data(written, options={**SMALL, "label": "json:kind"})
    assert sorted(collected(data.train)[1]) == [0, 0, 1, 1, 2, 2]
    bare = load_data(written, options=SMALL)
    assert sorted(levels(next(iter(bare.train)))) == list(range(6))
    assert bare.classes is None
    with pytest.raises(DataError, match="Write json:ENTRY"):
        load_data(written, options={"label": "json"})


def test_compressed_shards_are_a_stream_only(write_shards):
    name = write_shards(compression="gz")
    with pytest.raises(DataError, match="--data-option stream=true"):
        load_data(name)
    data = load_data(name, options={**SMALL, "stream": True})
    assert sorted(collected(data.train)[0]) == list(range(6))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"cls": b"cat"}, "number of a class as the label .* in './0000'"),
        ({"cls": b"0", "jpg": b"x"}, "Found 2 in './0000'"),
        ({"cls": b"0", "png": b"no image"}, "images that Pillow reads. Found otherwise in './000\\d'"),
    ],
)
def test_a_sample_that_cannot_be_read_is_named(write_shards, files, said, stream):
    name = write_shards(label=lambda _: files)
    with pytest.raises(DataError, match=said):
        list(load_data(name, options={**SMALL, "stream": stream}).train)


def test_names_that_could_run_a_command_and_shards_that_are_missing_are_refused(tmp_path):
    with pytest.raises(DataError, match="'pipe:', which may run a command"):
        load_data("webdataset:pipe:touch here")
    with pytest.raises(DataError, match=r"There is none at .*photos-0000\.tar"):
        load_data(f"webdataset:{tmp_path}/photos-{{0000..0003}}.tar")
    with pytest.raises(DataError, match=r"There is none at .*\*\.tar"):
        load_data(f"webdataset:{tmp_path}/*.tar")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    for stream in (False, True):
        with pytest.raises(DataError, match="Found none in"):
            load_data(f"webdataset:{tmp_path}/empty.tar", options={"stream": stream})


def test_pickles_in_a_shard_are_never_opened(write_shards, tmp_path):
    mark = tmp_path / "ran"
    content = f"cos\nsystem\n(S'touch {mark}'\ntR.".encode()
    name = write_shards(label=lambda _: {"cls": b"0", "pyd": content, "pickle": content, "pth": content})
    for stream in (False, True):
        assert len(collected(load_data(name, options={**SMALL, "stream": stream}).train)[0]) == 6
    assert not mark.exists()


@pytest.mark.parametrize("path", ["a/b.c/d.jpg", "0001.seg.png", "./0001.jpg", "deep/er/001.JPG", "plain", ".hidden"])
def test_keys_are_those_of_webdataset(path):
    from webdataset.tariterators import base_plus_ext

    key, kind = base_plus_ext(path)
    assert key_and_kind(path) == (None if key is None else (key, kind.lower()))
