import json
import os
import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from retrieval.folders.files import describe_file
from retrieval.search import coded_scan, planner
from retrieval.search.exact import exact_search
from retrieval.search.segments import Segment, open_build
from schemas.errors import Corrupt, SchemaTooNew
from schemas.manifest import (
    ESTIMATES_FILE,
    INDEX_FILE,
    ITEMS_FILE,
    MANIFEST_FILE,
    VECTORS_FILE,
    Manifest,
    SearchParameters,
)
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_build.coarse import assign_lists
from spark_jobs.index_build.shards import fill_codes
from tests.spark_jobs.index_build.small_rows import encode_words, small_rows, unit

KINDS = ("exact", "ivf_fp16", "ivf_rabitq")
ROWS = 6_000


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    vectors, items = small_rows(ROWS)
    out = tmp_path_factory.mktemp(request.param)
    manifest = assemble_build(
        vectors, items, model_id="tests", fingerprint="f", out_folder=out, kind=request.param, nlist=32,
        encode_texts=encode_words,
    )  # fmt: skip
    return out / manifest.build_id


@pytest.fixture
def segment(folder: Path) -> Segment:
    return open_build(folder)


@pytest.fixture
def copy_of(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def queries(count: int = 20) -> np.ndarray:
    vectors, _ = small_rows(ROWS)
    return unit(vectors[:count] + 0.05 * np.random.default_rng(5).standard_normal(vectors[:count].shape))


def test_a_photo_finds_itself_first(segment: Segment) -> None:
    rows = np.arange(0, ROWS, 997)
    asked = np.stack([segment.vector_of(int(row)) for row in rows])
    scores, found = segment.search(asked, 3)
    assert found[:, 0].tolist() == rows.tolist()
    assert scores[:, 0] == pytest.approx(1, abs=2e-3)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert scores.dtype == np.float32
    assert found.dtype == np.int64


def test_scores_are_the_exact_inner_products_of_the_stored_vectors(segment: Segment) -> None:
    asked = queries()
    scores, found = segment.search(asked, 5)
    exact = np.einsum("qkd,qd->qk", segment.vectors[found].astype(np.float32), asked)
    assert scores == pytest.approx(exact, abs=1e-5)


def test_recall_reaches_the_goal_for_photo_and_text(segment: Segment) -> None:
    asked = queries(200)
    _, truth = exact_search(segment.vectors, asked, 10)
    for kind in ("photo", "text"):
        _, found = segment.search(asked, 10, kind)  # type: ignore[arg-type]
        assert np.mean([len(np.intersect1d(*pair)) / 10 for pair in zip(found, truth, strict=True)]) >= 0.99


@pytest.mark.parametrize("chosen", [3, 400, 5_500])
def test_only_the_rows_asked_for_are_found_however_few_or_far(
    segment: Segment, chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "FEW_ROWS", 5_000)
    asked = queries()
    # Opposed to the query: the rows least like the first one.
    rows = np.sort(np.argsort(segment.vectors.astype(np.float32) @ asked[0])[:chosen])
    scores, found = segment.search(asked, 10, rows=rows)
    truth_scores, truth = exact_search(segment.vectors, asked, 10, rows)
    there = found >= 0
    assert np.isin(found[there], rows).all()
    assert there.sum() == (truth >= 0).sum()
    assert np.mean(scores[there] >= truth_scores[:, [min(9, chosen - 1)]].repeat(10, 1)[there] - 1e-4) >= 0.97


def test_asking_for_more_than_there_is_gives_minus_one_and_minus_infinity(segment: Segment) -> None:
    scores, found = segment.search(queries(2), 5, rows=np.array([1, 2]))
    assert (found[:, 2:] == -1).all()
    assert np.isneginf(scores[:, 2:]).all()
    everything = SearchParameters(nprobe=32, rerank=ROWS)
    scores, found = segment.search(queries(1), ROWS + 3, parameters=everything)
    assert np.sort(found[0, :ROWS]).tolist() == list(range(ROWS))
    assert (found[0, ROWS:] == -1).all()


def test_a_query_of_another_dimension_is_refused(segment: Segment) -> None:
    with pytest.raises(ValueError, match="dimension 32"):
        segment.search(np.zeros((1, 16), np.float32), 5)


def test_threads_with_different_parameters_do_not_disturb_one_another(segment: Segment) -> None:
    asked = queries(8)
    few, many = SearchParameters(nprobe=1, rerank=0), SearchParameters(nprobe=32, rerank=500)
    expected = {chosen: segment.search(asked, 10, parameters=chosen)[1] for chosen in (few, many)}
    wrong: list[SearchParameters] = []

    def ask(chosen: SearchParameters) -> None:
        for _ in range(30):
            if not np.array_equal(segment.search(asked, 10, parameters=chosen)[1], expected[chosen]):
                wrong.append(chosen)

    threads = [threading.Thread(target=ask, args=(chosen,)) for chosen in (few, many) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def flip_a_bit(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def zero_a_page(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    start = rng.randrange(max(1, len(data) - 4096))
    zeroed = data[:start] + bytes(len(data[start : start + 4096])) + data[start + 4096 :]
    path.write_bytes(zeroed if zeroed != data else data[:-1])


def cut_it_short(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def remove_it(path: Path, rng: random.Random) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [flip_a_bit, zero_a_page, cut_it_short, remove_it])
@pytest.mark.parametrize("name", [INDEX_FILE, ESTIMATES_FILE, VECTORS_FILE, ITEMS_FILE])
def test_a_damaged_build_never_opens(copy_of: Path, name: str, damage: Callable[[Path, random.Random], None]) -> None:
    path = copy_of / name
    if name not in open_build(copy_of).manifest.files:  # not every kind has estimates
        return
    whole = path.read_bytes()
    for seed in range(300 if os.environ.get("SHOPLENS_SOAK") else 3):
        damage(path, random.Random(seed))
        with pytest.raises(Corrupt, match=name):
            open_build(copy_of)
        path.write_bytes(whole)
    assert open_build(copy_of).manifest.rows == ROWS


def test_a_manifest_that_is_damaged_or_from_a_later_release_is_refused(copy_of: Path) -> None:
    path = copy_of / MANIFEST_FILE
    fields = json.loads(path.read_bytes())
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(Corrupt):
        open_build(copy_of)
    path.write_text(json.dumps({**fields, "schema_version": 99, "a_new_field": 1}))
    with pytest.raises(SchemaTooNew, match="upgrade ShopLens"):
        open_build(copy_of)
    path.write_text(json.dumps({**fields, "files": {}}))
    with pytest.raises(Corrupt, match="checksum"):
        open_build(copy_of)


def test_files_that_do_not_fit_one_another_are_refused_even_with_right_checksums(copy_of: Path) -> None:
    path = copy_of / MANIFEST_FILE
    path.write_bytes(replace(Manifest.from_json(path.read_bytes()), rows=ROWS - 1).to_json())
    with pytest.raises(Corrupt, match=INDEX_FILE):
        open_build(copy_of)


def with_manifest(folder: Path, **changes: Any) -> Path:
    path = folder / MANIFEST_FILE
    path.write_bytes(replace(Manifest.from_json(path.read_bytes()), **changes).to_json())
    return folder


def test_small_codes_are_the_index_or_lie_in_its_lists_beside_it(segment: Segment) -> None:
    kind = segment.manifest.index_kind
    assert (ESTIMATES_FILE in segment.manifest.files) == (kind == "ivf_fp16")
    assert (segment.estimates is None, segment.estimates is segment.index) == (kind == "exact", kind == "ivf_rabitq")
    if kind == "ivf_fp16":
        for number in range(segment.index.nlist):
            size = segment.index.get_list_size(number)
            ids = [
                faiss.rev_swig_ptr(lists.get_ids(number), size)
                for lists in (segment.index.invlists, segment.estimates.invlists)
            ]
            assert ids[0].tolist() == ids[1].tolist()


def test_estimates_of_other_lists_are_refused_even_with_right_checksums(copy_of: Path) -> None:
    segment = open_build(copy_of)
    if segment.manifest.index_kind != "ivf_fp16":
        return
    vectors, centroids = np.asarray(segment.vectors), np.eye(4, segment.manifest.dimension, dtype=np.float32)
    others = fill_codes(vectors, assign_lists(vectors, centroids), centroids)
    faiss.write_index(others, str(copy_of / ESTIMATES_FILE))
    files = segment.manifest.files | {ESTIMATES_FILE: describe_file(copy_of / ESTIMATES_FILE)}
    with pytest.raises(Corrupt, match=ESTIMATES_FILE):
        open_build(with_manifest(copy_of, files=files))


def test_a_build_of_before_there_were_estimates_finds_the_same(copy_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coded_scan, "CODED_ROWS_MIN", 500)
    segment = open_build(copy_of)
    if segment.manifest.index_kind != "ivf_fp16":
        return
    files = {name: entry for name, entry in segment.manifest.files.items() if name != ESTIMATES_FILE}
    (copy_of / ESTIMATES_FILE).unlink()
    before = open_build(with_manifest(copy_of, files=files))
    assert before.estimates is None
    mask = np.arange(ROWS) % 3 > 0
    for query in queries():
        found = [part.scan(query, 10, mask)[1].tolist() for part in (segment, before)]
        assert found[0] == found[1]
