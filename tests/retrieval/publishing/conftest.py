from pathlib import Path

import pytest

from retrieval.store.objects import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")
