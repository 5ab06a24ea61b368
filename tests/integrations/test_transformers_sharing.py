"""What leaves a Trainer of Hugging Face for others, and what a training of several processes refuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from huggingface_hub import RepoUrl
from huggingface_hub.utils import filter_repo_objects
from transformers import AutoModelForSequenceClassification

from tests.integrations.berts import trainer

ROOT = Path(__file__).parents[2]


def test_push_to_hub_uploads_the_student_alone_and_it_loads_by_from_pretrained(tmp_path, monkeypatch):
    uploaded = []

    def upload(_api, *, folder_path, ignore_patterns, **_):
        uploaded.append((Path(folder_path), ignore_patterns))

    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", upload)
    monkeypatch.setattr(
        "huggingface_hub.HfApi.create_repo", lambda _api, name, **_: RepoUrl(f"https://huggingface.co/{name}")
    )
    trained = trainer(tmp_path / "run", max_steps=2, hub_model_id="me/small", save_strategy="steps", save_steps=2)
    trained.train()
    trained.push_to_hub()
    ((folder, ignored),) = uploaded
    sent = set(
        filter_repo_objects([str(each.relative_to(folder)) for each in folder.rglob("*")], ignore_patterns=ignored)
    )
    assert "model.safetensors" in sent
    assert not [each for each in sent if each.endswith(("distiller.pt", "plan.yaml"))]
    loaded, facts = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not facts["unexpected_keys"]
    assert not facts["missing_keys"]
    assert loaded.state_dict().keys() == trained.model.state_dict().keys()


@pytest.mark.slow
def test_fsdp_is_refused_where_accelerate_would_overlook_it(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from limbeck.errors import RecipeError
from tests.integrations.berts import trainer

try:
    trainer(Path({str(tmp_path)!r}), fsdp=True)
except RecipeError as error:
    assert "Found FSDP" in str(error), error
else:
    raise SystemExit("FSDP was not refused")
"""
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
