"""What the demo needs first: a model's export beside other work leaves a bundle, an error or nothing."""

import time
from pathlib import Path

import pytest

from demo.setup import exporting_model
from schemas.errors import ModelUnavailable

pytestmark = pytest.mark.full
PATIENCE_S = 60


def test_an_export_that_fails_is_told_to_who_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(name='torch')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        exporting_model(tmp_path / "models" / "default") as exported,
        pytest.raises(ModelUnavailable, match="needs torch"),
    ):
        exported()
    assert list((tmp_path / "models").iterdir()) == []


def test_an_export_that_nobody_waits_for_ends_with_the_block_and_leaves_nothing(tmp_path: Path) -> None:
    folder, give_up = tmp_path / "models" / "default", time.monotonic() + PATIENCE_S
    with exporting_model(folder):
        while not any(folder.parent.glob(".export-*/.export-*")):  # half a bundle
            assert time.monotonic() < give_up
            time.sleep(0.05)
    assert list(folder.parent.iterdir()) == []


def test_a_waited_for_export_replaces_half_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "project/retrieval/cli.py"  # stands in for the real one, which takes long
    command.parent.mkdir(parents=True)
    (command.parent / "__init__.py").touch()
    command.write_text(
        "import pathlib, sys; out = pathlib.Path(sys.argv[-1]); out.mkdir(); (out / 'bundle.json').touch()"
    )
    monkeypatch.setattr("demo.setup.ROOT", tmp_path / "project")
    folder = tmp_path / "models" / "default"
    folder.mkdir(parents=True)
    (folder / "image.onnx").touch()
    with exporting_model(folder) as exported:
        exported()
    assert [path.relative_to(folder.parent) for path in folder.parent.rglob("*")] == [
        Path("default"),
        Path("default/bundle.json"),
    ]


def test_a_model_that_is_there_is_not_exported_again(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").touch()
    with exporting_model(tmp_path) as exported:
        exported()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.json"]
