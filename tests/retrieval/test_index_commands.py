import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from retrieval.builds import upload_build
from retrieval.index_commands import index
from retrieval.objects import FolderStore
from retrieval.publishing import publish
from schemas.errors import BadData
from schemas.manifest import ITEMS_FILE, build_key
from schemas.pointer import Served
from spark_jobs.index_build.assemble import assemble_build
from tests.spark_jobs.index_build.small_rows import small_rows


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Two builds; the second is live."""
    made = FolderStore(tmp_path / "store")
    for day, count in enumerate((40, 60)):
        vectors, items = small_rows(count)
        manifest = assemble_build(vectors, items, model_id="tests", fingerprint="f", out_folder=tmp_path / "made")
        upload_build(made, tmp_path / "made" / manifest.build_id)
        publish(made, Served(manifest.build_id, "tests"), f"2026010{day + 1}T000000Z", {"products": day}, f"day {day}")
    return made


def run(store: FolderStore, *arguments: str) -> Result:
    return CliRunner().invoke(index, [*arguments, "--store", str(store.root)], catch_exceptions=True)


def test_list_says_which_build_is_live(store: FolderStore) -> None:
    listed = json.loads(run(store, "list", "--json").output)
    assert sorted((build["state"], build["rows"]) for build in listed) == [("live", 60), ("previous", 40)]
    assert "live" in run(store, "list").output


def test_show_gives_the_pointer_or_a_manifest(store: FolderStore) -> None:
    pointer = json.loads(run(store, "show", "--json").output)
    assert pointer["generation"] == 2
    shown = json.loads(run(store, "show", pointer["live"]["build_id"], "--json").output)
    assert shown["manifest"]["rows"] == 60
    assert pointer["live"]["build_id"] in run(store, "show").output
    assert isinstance(run(store, "show", "nothing").exception, BadData)


def test_rollback_and_release_round_trip(store: FolderStore) -> None:
    before = json.loads(run(store, "show", "--json").output)
    assert "publishing is on hold" in run(store, "rollback", "--reason", "odd").output
    held = json.loads(run(store, "show", "--json").output)
    assert held["live"] == before["previous"]
    assert held["hold"]["reason"] == "odd"
    assert "publishing goes on" in run(store, "release").output
    assert json.loads(run(store, "show", "--json").output)["hold"] is None


def test_verify_finds_damage_and_ends_with_an_error(store: FolderStore) -> None:
    assert run(store, "verify", "--all").exit_code == 0
    live = json.loads(run(store, "show", "--json").output)["live"]["build_id"]
    key = build_key(live, ITEMS_FILE)
    data = bytearray(store.get(key).data)  # type: ignore[union-attr]
    data[50] ^= 1
    store.put(key, bytes(data))
    result = run(store, "verify")
    assert isinstance(result.exception, BadData)
    assert f"builds/{live}/{ITEMS_FILE} is damaged" in result.output


def test_the_store_is_asked_for_where_none_is_named() -> None:
    result = CliRunner().invoke(index, ["list"], env={"SHOPLENS_STORE": None})
    assert result.exit_code == 2
    assert "Missing option '--store'" in result.output
