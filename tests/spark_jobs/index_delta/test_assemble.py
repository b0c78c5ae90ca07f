"""A delta is the difference between its base and the rows that there are now, and nothing else."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from retrieval.encoders.contract import unit_rows
from retrieval.search.deltas import open_delta
from retrieval.search.segments import Segment, open_build
from schemas.errors import Corrupt
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_delta.assemble import assemble_delta

ROWS = 6
VECTORS = unit_rows(np.random.default_rng(5).normal(size=(ROWS + 2, 8)).astype(np.float32))


def items(*rows: tuple[str, str, float]) -> pa.Table:
    """Product, photo and price of each row."""
    products, photos, prices = zip(*rows, strict=True)
    return pa.table({"product_id": products, "image_id": photos, "price": prices, "group_id": products})


BASE = [(f"p{row}", f"photo{row}", 10.0) for row in range(ROWS)]


@pytest.fixture
def base(tmp_path: Path) -> Segment:
    manifest = assemble_build(
        VECTORS[:ROWS], items(*BASE), model_id="m", fingerprint="f", out_folder=tmp_path / "builds"
    )
    return open_build(tmp_path / "builds" / manifest.build_id)


def test_rows_as_they_were_give_an_empty_delta(base: Segment, tmp_path: Path) -> None:
    manifest = assemble_delta(base, VECTORS[:ROWS], items(*BASE), out_folder=tmp_path)
    delta = open_delta(tmp_path / manifest.delta_id, base.manifest)
    assert (len(delta.tombstones), len(delta.changed_rows), delta.segment) == (0, 0, None)


def test_a_row_that_went_is_a_tombstone_and_one_that_came_a_new_row(base: Segment, tmp_path: Path) -> None:
    now = [*BASE[1:], ("p9", "photo9", 3.0)]
    manifest = assemble_delta(base, VECTORS[[1, 2, 3, 4, 5, 7]], items(*now), out_folder=tmp_path)
    delta = open_delta(tmp_path / manifest.delta_id, base.manifest)
    assert base.items.column("product_id").take(pa.array(delta.tombstones)).to_pylist() == ["p0"]
    assert delta.segment is not None
    assert delta.segment.items.column("product_id").to_pylist() == ["p9"]
    np.testing.assert_array_equal(delta.segment.vectors, VECTORS[[7]].astype(np.float16))


def test_a_price_changes_without_a_vector(base: Segment, tmp_path: Path) -> None:
    now = [("p0", "photo0", 12.0), *BASE[1:]]
    manifest = assemble_delta(base, VECTORS[:ROWS], items(*now), out_folder=tmp_path)
    delta = open_delta(tmp_path / manifest.delta_id, base.manifest)
    assert (delta.changes.column("price").to_pylist(), delta.segment) == ([12.0], None)
    assert base.items.column("product_id").take(pa.array(delta.changed_rows)).to_pylist() == ["p0"]


def test_a_photo_replaced_by_another_is_a_tombstone_and_a_new_row(base: Segment, tmp_path: Path) -> None:
    now = [("p0", "other", 10.0), *BASE[1:]]
    manifest = assemble_delta(base, VECTORS[[6, 1, 2, 3, 4, 5]], items(*now), out_folder=tmp_path)
    assert (manifest.tombstones, manifest.changed, manifest.rows) == (1, 0, 1)


def test_the_order_of_the_rows_does_not_show_in_the_delta(base: Segment, tmp_path: Path) -> None:
    now = [*BASE[2:], ("p8", "a", 1.0), ("p9", "b", 2.0)]
    one = assemble_delta(base, VECTORS[[2, 3, 4, 5, 6, 7]], items(*now), out_folder=tmp_path / "one")
    other = assemble_delta(base, VECTORS[[7, 6, 5, 4, 3, 2]], items(*now[::-1]), out_folder=tmp_path / "other")
    assert one == other


def test_many_new_rows_use_the_coarse_lists_of_their_base(tmp_path: Path) -> None:
    vectors = unit_rows(np.random.default_rng(6).normal(size=(400, 8)).astype(np.float32))
    rows = [(f"p{row}", f"photo{row}", 1.0) for row in range(400)]
    built = assemble_build(
        vectors[:300], items(*rows[:300]), model_id="m", fingerprint="f", out_folder=tmp_path, kind="ivf_fp16", nlist=4
    )
    base = open_build(tmp_path / built.build_id)
    manifest = assemble_delta(base, vectors, items(*rows), out_folder=tmp_path / "deltas", exact_rows=50)
    delta = open_delta(tmp_path / "deltas" / manifest.delta_id, base.manifest)
    assert delta.segment is not None
    assert (manifest.index_kind, delta.segment.index.nlist, delta.segment.manifest.rows) == ("ivf_fp16", 4, 100)


def test_a_delta_of_another_base_is_refused(base: Segment, tmp_path: Path) -> None:
    built = assemble_build(
        VECTORS[1:ROWS], items(*BASE[1:]), model_id="m", fingerprint="f", out_folder=tmp_path / "builds"
    )
    other = open_build(tmp_path / "builds" / built.build_id)
    manifest = assemble_delta(base, VECTORS[:ROWS], items(*BASE), out_folder=tmp_path)
    with pytest.raises(Corrupt, match="a delta of build"):
        open_delta(tmp_path / manifest.delta_id, other.manifest)


@pytest.mark.parametrize("name", ["tombstones.u32", "changes.arrow", "vectors.f16"])
def test_a_flipped_bit_is_noticed(base: Segment, tmp_path: Path, name: str) -> None:
    now = [*BASE[1:-1], ("p5", "photo5", 11.0), ("p9", "photo9", 3.0)]
    manifest = assemble_delta(base, VECTORS[[1, 2, 3, 4, 5, 7]], items(*now), out_folder=tmp_path)
    path = tmp_path / manifest.delta_id / name
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    with pytest.raises(Corrupt, match="SHA-256"):
        open_delta(tmp_path / manifest.delta_id, base.manifest)
