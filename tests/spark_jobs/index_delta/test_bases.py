"""Copies of base builds on this host's disk."""

from pathlib import Path

import pytest

from retrieval.store.objects import FolderStore
from schemas.errors import Misconfigured
from spark_jobs.index_delta.bases import open_base


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match=r"cannot keep a copy of build b in .*file/bases \(Not a directory\): free"):
        open_base(FolderStore(tmp_path / "store"), "b", tmp_path / "file" / "bases")
