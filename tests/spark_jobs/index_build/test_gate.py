from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from retrieval.search.segments import Segment, open_build
from schemas.manifest import SearchParameters
from spark_jobs.index_build.assemble import assemble_build
from spark_jobs.index_build.difference import check_difference
from spark_jobs.index_build.gate import check_golden, check_recall, check_rows
from spark_jobs.index_build.golden import read_golden
from spark_jobs.index_build.queries import filtered_slices, newest_rows, photo_slices, rows_of_rare_categories
from spark_jobs.index_build.tuning import tune, with_truth
from tests.spark_jobs.index_build.small_rows import encode_words, small_rows

ROWS = 4_000


def make(folder: Path, vectors: np.ndarray, items: pa.Table, **more: object) -> Segment:
    options = {"model_id": "m", "fingerprint": "f", "kind": "ivf_fp16", "nlist": 64, "encode_texts": encode_words}
    manifest = assemble_build(vectors, items, out_folder=folder, **(options | more))  # type: ignore[arg-type]
    return open_build(folder / manifest.build_id)


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> Segment:
    return make(tmp_path_factory.mktemp("gate"), *small_rows(ROWS))


def test_a_tuned_build_passes_on_queries_it_was_not_tuned_with(segment: Segment) -> None:
    findings = check_recall(segment, 0.99, encode_words)
    assert findings.failures == []
    assert set(findings.figures) == {
        "recall_photo", "recall_rare_categories", "recall_newest_items", "recall_filtered", "recall_text",
    }  # fmt: skip


def test_too_few_probes_fail_the_gate_by_name(segment: Segment) -> None:
    hurried = replace(segment, manifest=replace(segment.manifest, text_search=SearchParameters(nprobe=1)))
    failures = check_recall(hurried, 0.99, encode_words).failures
    assert len(failures) == 1
    assert failures[0].startswith("recall@10 of text queries is 0.")


def test_tuning_takes_the_fewest_probes_that_reach_the_goal(segment: Segment) -> None:
    questions = [with_truth(segment, queries) for queries in photo_slices(segment, seed=77)]
    easy, hard = (tune(segment, questions, goal) for goal in (0.5, 0.999))
    assert 1 <= easy.nprobe < hard.nprobe <= 64


def test_row_counts_must_add_up(segment: Segment) -> None:
    right = {"rows": ROWS, "products": ROWS // 2}
    assert check_rows(segment, right).failures == []
    assert check_rows(segment, right | {"rows": ROWS + 1}).failures == [
        f"{ROWS} rows, but {ROWS + 1} in the source tables"
    ]
    crooked = np.array(segment.vectors)
    crooked[5] *= 2
    assert check_rows(replace(segment, vectors=crooked), right).failures == ["1 vectors are not of unit length"]
    twice = segment.items.take(pa.array([0, *range(ROWS - 1)]))
    assert "1 rows stand twice" in check_rows(replace(segment, items=twice), right).failures


def test_items_that_slipped_by_a_row_fail_the_golden_queries(segment: Segment, tmp_path: Path) -> None:
    folder = tmp_path
    whole = make(folder, *small_rows(400), kind="exact")
    golden = read_golden(folder / whole.manifest.build_id, whole)
    assert check_golden(whole, golden).failures == []
    slipped = replace(whole, items=pa.concat_tables([whole.items.slice(2), whole.items.slice(0, 2)]))
    assert "golden queries fail, such as" in check_golden(slipped, golden).failures[0]


def test_a_removed_product_explains_a_changed_result(tmp_path: Path) -> None:
    vectors, items = small_rows(400)
    live = make(tmp_path, vectors, items, kind="exact")
    fewer = make(tmp_path, vectors[20:], items.slice(20), kind="exact")
    findings = check_difference(fewer, live)
    assert findings.figures["first_result_changed"] > 0
    assert findings.failures == []


def test_results_that_change_without_a_changed_row_fail(tmp_path: Path) -> None:
    vectors, items = small_rows(400)
    live = make(tmp_path, vectors, items, kind="exact")
    # An index that answers with its neighbour's rows: the items say the same, the answers do not.
    broken = replace(live, index=_Shifted(live.index))
    findings = check_difference(broken, live)
    assert "without a changed row, more than 1%" in findings.failures[0]


class _Shifted:
    def __init__(self, index: object) -> None:
        self._index = index

    def search(self, *arguments: object, **named: object) -> tuple[np.ndarray, np.ndarray]:
        scores, rows = self._index.search(*arguments, **named)  # type: ignore[attr-defined]
        return scores, (rows + 2) % 400


def test_the_slices_are_what_their_names_say(segment: Segment) -> None:
    newest = newest_rows(segment.items)
    created = segment.items.column("created_at").cast("int64").to_numpy()
    assert len(newest) == ROWS // 10
    assert created[newest].min() >= np.delete(created, newest).max()
    rare = rows_of_rare_categories(segment.items)
    categories = segment.items.column("category")
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(categories).to_pylist()}
    rare_names = set(categories.take(pa.array(rare)).to_pylist())
    assert max(counts[name] for name in rare_names) <= min(counts[name] for name in counts.keys() - rare_names)
    for queries in filtered_slices(segment, seed=1):
        assert queries.rows is not None
        assert len(set(categories.take(pa.array(queries.rows)).to_pylist())) == 1


def test_a_catalog_without_categories_or_dates_has_fewer_slices(tmp_path: Path) -> None:
    vectors, items = small_rows(60)
    bare = make(tmp_path, vectors, items.select(["product_id", "image_id"]), encode_texts=None)
    assert [queries.name for queries in photo_slices(bare, seed=1)] == ["photo"]
    assert filtered_slices(bare, seed=1) == []
    assert check_recall(bare, 0.99, None).failures == []
