import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from retrieval.commands.index import index
from retrieval.folders.evaluations import write_evaluation
from retrieval.folders.kinds import BUILD_FOLDERS, DELTA_FOLDERS
from retrieval.publishing.pointer import read_pointer
from retrieval.publishing.publish import publish
from retrieval.search.segments import open_build
from retrieval.store.objects import FolderStore
from schemas.delta import CHANGES_FILE, DeltaEvaluation, delta_key
from schemas.errors import BadData, ShopLensError
from schemas.manifest import ITEMS_FILE, build_key
from schemas.pointer import Served
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_delta.assemble import assemble_delta
from tests.spark_jobs.index_build.small_rows import small_rows


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Two builds; the second is live."""
    made = FolderStore(tmp_path / "store")
    for day, count in enumerate((40, 60)):
        vectors, items = small_rows(count)
        manifest = assemble_build(vectors, items, model_id="tests", fingerprint="f", out_folder=tmp_path / "made")
        BUILD_FOLDERS.upload(made, tmp_path / "made" / manifest.build_id)
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
    store.put(f"evaluations/{pointer['live']['build_id']}.json", b"{")
    assert "is damaged: expected an evaluation" in str(run(store, "show", pointer["live"]["build_id"]).exception)


def test_rollback_and_release_round_trip(store: FolderStore, tmp_path: Path) -> None:
    before = json.loads(run(store, "show", "--json").output)
    assert isinstance(run(store, "rollback").exception, BadData)  # what was deleted since would come back
    previous = open_build(tmp_path / "made" / before["previous"]["build_id"])
    vectors, items = small_rows(40)
    made = assemble_delta(previous, vectors[2:], items.slice(2), out_folder=tmp_path)
    DELTA_FOLDERS.upload(store, tmp_path / made.delta_id)
    assert isinstance(run(store, "rollback").exception, BadData)  # the gate has not passed it
    gate = DeltaEvaluation(made.delta_id, made.base_build_id, True, before["source_versions"], before["interval_end"])
    write_evaluation(store, gate)
    said = run(store, "rollback", "--reason", "odd").output
    assert f"{made.base_build_id} with delta {made.delta_id} is live; publishing is on hold" in said
    held = json.loads(run(store, "show", "--json").output)
    assert held["live"] == {**before["previous"], "delta_id": made.delta_id}
    assert held["hold"]["reason"] == "odd"
    assert "publishing goes on" in run(store, "release").output
    assert json.loads(run(store, "show", "--json").output)["hold"] is None


def test_verify_says_that_there_is_nothing_to_verify(tmp_path: Path) -> None:
    assert "no builds or deltas in file:///" in run(FolderStore(tmp_path / "empty"), "verify", "--all").output


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


@pytest.fixture
def delta_id(store: FolderStore, tmp_path: Path) -> str:
    """One product went, one came; live over the live build."""
    pointer = read_pointer(store)
    assert pointer is not None
    live = pointer[0].live
    base = open_build(tmp_path / "made" / live.build_id)
    vectors, items = small_rows(62)
    kept = np.arange(2, 62)
    made = assemble_delta(base, vectors[kept], items.take(kept), out_folder=tmp_path)
    DELTA_FOLDERS.upload(store, tmp_path / made.delta_id)
    store.put("CURRENT", replace(pointer[0], live=replace(live, delta_id=made.delta_id)).to_json())
    return made.delta_id


def test_a_delta_is_listed_with_its_build_shown_and_verified(store: FolderStore, delta_id: str) -> None:
    builds = json.loads(run(store, "list", "--json").output)
    listed = {build["state"]: build["deltas"] for build in builds}
    assert listed["previous"] == []
    assert [(each["delta_id"], each["state"], each["new"], each["deleted"]) for each in listed["live"]] == [
        (delta_id, "live", 2, 2)
    ]
    assert delta_id in run(store, "list").output
    assert f"with delta {delta_id}" in " ".join(run(store, "show").output.split())
    assert json.loads(run(store, "show", delta_id, "--json").output)["manifest"]["tombstones"] == 2
    assert [each["id"] for each in json.loads(run(store, "verify", "--json").output)][1] == delta_id
    damage = store.root / delta_key(delta_id, CHANGES_FILE)
    damage.write_bytes(damage.read_bytes()[:-1] + b"x")
    for arguments in ((), ("--all",), (delta_id,)):
        result = run(store, "verify", *arguments)
        assert isinstance(result.exception, BadData)
        assert f"deltas/{delta_id}/{CHANGES_FILE} is damaged" in result.output


def test_a_delta_whose_build_is_gone_is_listed_last(store: FolderStore, delta_id: str) -> None:
    live = json.loads(run(store, "show", "--json").output)["live"]["build_id"]
    shutil.rmtree(store.root / "builds" / live)
    orphans = json.loads(run(store, "list", "--json").output)[-1]
    assert (orphans["build_id"], [each["delta_id"] for each in orphans["deltas"]]) == (None, [delta_id])
    assert delta_id in run(store, "list").output


def test_the_store_is_asked_for_where_none_is_named() -> None:
    result = CliRunner().invoke(index, ["list"], env={"SHOPLENS_STORE": None})
    assert result.exit_code == 2
    assert "Missing option '--store'" in result.output


def test_brackets_in_a_reason_are_shown_as_they_are(store: FolderStore) -> None:
    run(store, "rollback", "--to", "2", "--reason", "[/b] see [hotfix]")
    assert "[/b] see [hotfix]" in run(store, "show").output


@pytest.mark.parametrize("command", ["show", "verify"])
@pytest.mark.parametrize("folder_id", ["nothing", "../../../etc"])
def test_what_is_not_there_is_not_called_damaged(store: FolderStore, command: str, folder_id: str) -> None:
    error = run(store, command, folder_id).exception
    assert isinstance(error, ShopLensError)
    assert "damaged" not in str(error)
