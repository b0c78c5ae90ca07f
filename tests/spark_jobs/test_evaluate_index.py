"""What the gate does where the live build cannot be compared with; the build itself is a stand-in here."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retrieval.store.objects import FolderStore
from schemas.manifest import build_key
from schemas.pointer import POINTER_KEY, Pointer, Served
from spark_jobs.evaluate_index import compare_with_live
from spark_jobs.index_build.gate import Findings


@pytest.mark.parametrize("manifest", [None, b"{"])
def test_a_live_build_that_is_gone_or_damaged_does_not_keep_the_next_from_mending_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, manifest: bytes | None
) -> None:
    store = FolderStore(tmp_path / "store")
    store.put(POINTER_KEY, Pointer(1, "20260131T020000Z", {}, Served("live", "m")).to_json())
    if manifest:
        store.put(build_key("live"), manifest)
    made: Any = SimpleNamespace(manifest=SimpleNamespace(build_id="new", model_fingerprint="f"))
    context: Any = SimpleNamespace(store=store)
    assert compare_with_live(made, context, tmp_path) == Findings()
    assert "not compared with those of the live build" in caplog.text
