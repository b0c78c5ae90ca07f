"""A folder that is no cache is left as it is: a searcher clears away what it does not know."""

from pathlib import Path

import pytest

from online.snapshots.cache_folder import KINDS, refuse_foreign_folder
from online.snapshots.host_cache import HostCache
from retrieval.encoders.bundles import fetch_bundle
from retrieval.store.objects import FolderStore
from schemas.errors import Misconfigured
from tests.online.tiny_shop import MODEL_ID


@pytest.mark.parametrize("kind", KINDS)
def test_somebodys_models_are_not_taken_for_leftovers(store: FolderStore, tmp_path: Path, kind: str) -> None:
    mine = tmp_path / "data" / kind / "mine"
    mine.mkdir(parents=True)
    with (
        pytest.raises(Misconfigured, match=f"{kind}/mine was not downloaded there"),
        HostCache(store, tmp_path / "data", 2).locked(),
    ):
        pytest.fail("it is locked")
    assert mine.exists()


def test_the_store_is_no_cache(store: FolderStore) -> None:
    with pytest.raises(Misconfigured, match="is no cache"):
        refuse_foreign_folder(store.root)


def test_a_cache_is_one_with_what_a_killed_download_left_and_without_its_hidden_files(
    store: FolderStore, tmp_path: Path
) -> None:
    cache = HostCache(store, tmp_path / "cache", 2)
    with cache.locked():
        (cache.build_folder("b1").with_name(".b2.partial")).mkdir()
    with cache.locked():
        cache.remove_old()
    for hidden in (tmp_path / "cache").glob(".*"):  # as a copy of it may be without them
        hidden.unlink()
    with cache.locked():
        assert (cache.build_folder("b1")).exists()


def test_a_cache_may_be_one_that_jobs_have_used(store: FolderStore, tmp_path: Path) -> None:
    fetch_bundle(store, MODEL_ID, tmp_path / "cache" / "models")
    cache = HostCache(store, tmp_path / "cache", 2)
    with cache.locked():
        assert cache.model_folder(MODEL_ID).exists()


def test_a_folder_that_is_not_there_or_holds_other_things_may_become_one(tmp_path: Path) -> None:
    refuse_foreign_folder(tmp_path / "nowhere")
    (tmp_path / "spool").mkdir()
    (tmp_path / "builds").mkdir()
    refuse_foreign_folder(tmp_path)
