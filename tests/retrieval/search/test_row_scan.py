import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.search.row_scan import scan_rows

VECTORS = np.random.default_rng(5).standard_normal((700, 24)).astype(np.float16)
QUERY = np.random.default_rng(6).standard_normal(24).astype(np.float32)


def by_hand(rows: np.ndarray, k: int) -> list[int]:
    scores = VECTORS[rows].astype(np.float32) @ QUERY
    return rows[np.lexsort((rows, -scores))][:k].tolist()


@given(st.sets(st.integers(0, len(VECTORS) - 1), min_size=1), st.integers(1, 40))
def test_the_best_of_the_chosen_rows_are_found_and_scored_exactly(chosen: set[int], k: int) -> None:
    rows = np.array(sorted(chosen), np.int64)
    scores, found = scan_rows(VECTORS, QUERY, k, rows)
    assert found.tolist() == by_hand(rows, k)
    assert scores == pytest.approx(VECTORS[found].astype(np.float32) @ QUERY, abs=1e-4)


def test_without_rows_all_are_scanned() -> None:
    assert scan_rows(VECTORS, QUERY, 9)[1].tolist() == by_hand(np.arange(len(VECTORS)), 9)


def test_rows_are_gathered_in_as_many_pieces_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.search.row_scan._GATHERED_BYTES", 5 * 48)
    rows = np.arange(0, 700, 3)
    assert scan_rows(VECTORS, QUERY, 12, rows)[1].tolist() == by_hand(rows, 12)


def test_a_mapped_file_is_read_as_it_lies(tmp_path) -> None:
    VECTORS.tofile(tmp_path / "vectors.f16")
    mapped = np.memmap(tmp_path / "vectors.f16", np.float16, "r", shape=VECTORS.shape)
    assert scan_rows(mapped, QUERY, 5, np.arange(100, 200))[1].tolist() == by_hand(np.arange(100, 200), 5)


def test_equal_rows_come_in_order() -> None:
    same = np.repeat(VECTORS[:1], 8, axis=0)
    assert scan_rows(same, QUERY, 3)[1].tolist() == [0, 1, 2]


def test_nothing_chosen_gives_nothing() -> None:
    scores, found = scan_rows(VECTORS, QUERY, 3, np.empty(0, np.int64))
    assert (len(scores), len(found)) == (0, 0)
