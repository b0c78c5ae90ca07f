from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from retrieval.folders.kinds import BUILD_FOLDERS
from retrieval.items.table import conform_items
from retrieval.search.segments import open_build
from schemas.errors import BadData, Misconfigured
from schemas.manifest import Manifest
from spark_jobs.index_build import shards
from spark_jobs.index_build.assemble import assemble_build, fill_folder, make_parameters
from spark_jobs.index_build.coarse import assign_lists, train_centroids
from spark_jobs.index_build.golden import read_golden, wrong_answers
from spark_jobs.index_build.merge import merge_shards
from spark_jobs.index_build.parameters import BuildParameters, choose_kind, choose_nlist
from spark_jobs.index_build.rows import as_stored
from spark_jobs.index_build.shards import ShardRows, write_shard
from tests.spark_jobs.index_build.small_rows import encode_words, small_rows

KINDS = ("exact", "ivf_fp16", "ivf_rabitq")


def assemble(folder: Path, rows: int = 600, seed: int = 0, order: np.ndarray | None = None, **more: Any) -> Manifest:
    vectors, items = small_rows(rows, seed)
    if order is not None:
        vectors, items = vectors[order], items.take(pa.array(order))
    options: dict[str, Any] = {"model_id": "m", "fingerprint": "f", "encode_texts": encode_words} | more
    return assemble_build(vectors, items, out_folder=folder, **options)


def bytes_of(folder: Path, build_id: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / build_id).iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_build_is_the_same_byte_for_byte_in_whatever_order_its_rows_come(tmp_path: Path, kind: str) -> None:
    first = assemble(tmp_path / "first", kind=kind)
    shuffled = np.random.default_rng(9).permutation(600)
    second = assemble(tmp_path / "second", kind=kind, order=shuffled)
    assert bytes_of(tmp_path / "first", first.build_id) == bytes_of(tmp_path / "second", second.build_id)


@pytest.mark.parametrize("change", ["price", "vector", "seed", "recall_goal", "kind", "model_id", "row"])
def test_whatever_changes_the_build_changes_its_id(tmp_path: Path, change: str) -> None:
    vectors, items = small_rows(120)
    options: dict[str, object] = {
        "model_id": "m",
        "fingerprint": "f",
        "kind": "ivf_fp16",
        "seed": 1,
        "recall_goal": 0.99,
    }
    before = assemble_build(vectors, items, out_folder=tmp_path, **options).build_id  # type: ignore[arg-type]
    if change == "price":
        prices = items.column("price").to_pylist()
        items = items.set_column(items.schema.get_field_index("price"), "price", pa.array([prices[0] + 1, *prices[1:]]))
    elif change == "vector":
        vectors[[0, 1]] = vectors[[1, 0]]
    elif change == "row":
        vectors, items = vectors[:-1], items.slice(0, 119)
    else:
        options[change] = {"seed": 2, "recall_goal": 0.95, "kind": "exact", "model_id": "n"}[change]
    assert assemble_build(vectors, items, out_folder=tmp_path, **options).build_id != before  # type: ignore[arg-type]


def test_lineage_does_not_change_the_id(tmp_path: Path) -> None:
    first = assemble(tmp_path, interval_end="20260101T000000Z", source_versions={"products": 1})
    second = assemble(tmp_path, interval_end="20260102T000000Z", source_versions={"products": 2})
    assert first.build_id == second.build_id
    assert second.source_versions == {"products": 2}


@pytest.mark.parametrize("kind", ["ivf_fp16", "ivf_rabitq"])
@pytest.mark.parametrize("spans", [1, 2, 5])
def test_the_number_of_shards_does_not_show(tmp_path: Path, kind: str, spans: int) -> None:
    vectors, items = small_rows(600)
    stored = as_stored(vectors)
    parameters = BuildParameters(kind, 10, 32, "m", "f", has_estimates=kind == "ivf_fp16")
    centroids = train_centroids(stored, parameters)
    lists = assign_lists(stored, centroids)
    rows = ShardRows(conform_items(items), stored, lists)
    fill_folder(rows, tmp_path / "whole", parameters, centroids)
    folders = []
    for number in range(spans):
        chosen = np.flatnonzero(lists // (10 // spans) == number) if spans > 1 else np.arange(600)
        part = ShardRows(rows.items.take(pa.array(chosen)), stored[chosen], lists[chosen])
        write_shard(part, tmp_path / str(number), parameters, centroids)
        folders.append(tmp_path / str(number))
    assert merge_shards(folders, tmp_path / "merged", parameters, centroids) == 600
    assert bytes_of(tmp_path, "merged") == bytes_of(tmp_path, "whole")


def test_a_rows_list_does_not_depend_on_the_rows_beside_it() -> None:
    vectors, _ = small_rows(5_000)
    stored = as_stored(vectors)
    centroids = train_centroids(stored, BuildParameters("ivf_fp16", 64, 32, "m", "f"))
    together = assign_lists(stored, centroids)
    shuffled = np.random.default_rng(3).permutation(5_000)
    assert np.array_equal(assign_lists(stored[shuffled], centroids), together[shuffled])
    alone = [int(assign_lists(stored[row : row + 1], centroids)[0]) for row in range(0, 5_000, 250)]
    assert alone == together[::250].tolist()


@pytest.mark.parametrize("kind", ["ivf_fp16", "ivf_rabitq"])
def test_rows_are_numbered_in_the_order_of_the_lists(tmp_path: Path, kind: str) -> None:
    manifest = assemble(tmp_path, kind=kind, nlist=8)
    segment = open_build(tmp_path / manifest.build_id)
    _, lists = segment.index.quantizer.search(np.asarray(segment.vectors, np.float32), 1)
    assert np.all(np.diff(lists[:, 0]) >= 0)
    assert segment.list_starts is not None
    assert segment.list_starts.tolist() == np.searchsorted(lists[:, 0], np.arange(9)).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_golden_queries_are_right_in_their_own_build_and_wrong_in_another(tmp_path: Path, kind: str) -> None:
    manifest = assemble(tmp_path, kind=kind)
    folder = tmp_path / manifest.build_id
    segment = open_build(folder)
    golden = read_golden(folder, segment)
    assert {query.kind for query in golden} == {"photo", "text"}
    assert wrong_answers(segment, golden) == []
    other = open_build(tmp_path / assemble(tmp_path, kind=kind, seed=5).build_id)
    assert len(wrong_answers(other, golden)) > len(golden) // 2


def test_every_file_is_in_the_manifest_and_whole(tmp_path: Path) -> None:
    manifest = assemble(tmp_path)
    folder = tmp_path / manifest.build_id
    assert BUILD_FOLDERS.read_verified(folder) == manifest
    assert set(manifest.files) | {"manifest.json"} == {path.name for path in folder.iterdir()}
    assert manifest.calibration["same_product"].keys() == {"p05", "p25", "p50", "p75", "p95"}


def test_a_one_row_catalog_makes_a_build(tmp_path: Path) -> None:
    vectors, items = small_rows(1)
    manifest = assemble_build(vectors, items, model_id="m", fingerprint="f", out_folder=tmp_path, kind="ivf_fp16")
    segment = open_build(tmp_path / manifest.build_id)
    assert (manifest.rows, manifest.index_kind) == (1, "exact")
    assert segment.search(vectors, 3)[1].tolist() == [[0, -1, -1]]


def test_no_rows_or_no_vectors_are_refused(tmp_path: Path) -> None:
    vectors, items = small_rows(4)
    with pytest.raises(BadData, match="nothing to index"):
        assemble_build(vectors[:0], items.slice(0, 0), model_id="m", fingerprint="f", out_folder=tmp_path)
    vectors[2] = np.nan
    with pytest.raises(ValueError, match="row 2 has length"):
        assemble_build(vectors, items, model_id="m", fingerprint="f", out_folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_kind_follows_the_size() -> None:
    assert choose_kind("auto", 1_500) == "exact"
    assert choose_kind("auto", 50_001) == "ivf_fp16"
    assert choose_kind("ivf_rabitq", 10) == "exact"
    with pytest.raises(Misconfigured, match="choose one of"):
        choose_kind("hnsw", 10)


@pytest.mark.parametrize(("rows", "nlist"), [(100, 2), (10_000, 256), (1_000_000, 4_096), (10_000_000, 8_192)])
def test_lists_grow_with_the_root_of_the_rows(rows: int, nlist: int) -> None:
    assert choose_nlist("ivf_fp16", rows) == nlist
    made = make_parameters(rows, 8, kind="ivf_fp16", nlist=None, model_id="m", fingerprint="f", recall_goal=0.9, seed=1, has_text=False)  # fmt: skip
    assert made.factory == f"IVF{nlist},SQfp16"


def test_shards_hold_codes_only_where_the_kind_needs_them(tmp_path: Path) -> None:
    vectors, items = small_rows(80)
    stored = as_stored(vectors)
    parameters = BuildParameters("ivf_fp16", 2, 32, "m", "f")
    centroids = train_centroids(stored, parameters)
    rows = ShardRows(conform_items(items), stored, assign_lists(stored, centroids))
    write_shard(rows, tmp_path, parameters, centroids)
    assert not (tmp_path / shards.CODES_FILE).exists()
