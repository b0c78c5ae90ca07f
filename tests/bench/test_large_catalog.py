import numpy as np
import pytest

from bench import large_catalog
from bench.large_catalog import LargeCatalog
from bench.real_vectors import lift_to

EMBEDDINGS = np.random.default_rng(1).standard_normal((40, 8)).astype(np.float32)
EMBEDDINGS /= np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> LargeCatalog:
    monkeypatch.setattr(large_catalog, "BLOCK_ROWS", 100)
    lift = lift_to(16, 8)
    axis = lift[0]
    ends = np.linspace(-0.4, 0.4, 9).astype(np.float32)
    return LargeCatalog(
        250, EMBEDDINGS, tuple(f"kind {n % 3}" for n in range(40)), lift, axis, ends, "random directions"
    )


def test_a_block_is_the_same_every_time_and_the_last_one_is_short(catalog: LargeCatalog) -> None:
    first, again = catalog.block(1), catalog.block(1)
    assert np.array_equal(first.vectors, again.vectors)
    assert [len(catalog.block(number).vectors) for number in range(catalog.blocks)] == [100, 100, 50]


def test_rows_are_unit_vectors_near_the_photo_that_they_are_made_of(catalog: LargeCatalog) -> None:
    block = catalog.block(0)
    rows = block.vectors.astype(np.float32)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-2)
    own = np.einsum("nd,nd->n", rows, (EMBEDDINGS @ catalog.lift)[block.sources])
    assert np.median(own) > 0.6


def test_variants_share_a_group_and_look_alike(catalog: LargeCatalog) -> None:
    block = catalog.block(0)
    groups = catalog.items(np.arange(100), block.sources, block.poles).column("group_id").to_pylist()
    assert groups[6:10] == ["G00000006"] * 4
    assert len(set(groups[:7])) == 7
    assert (block.vectors[6].astype(np.float32) @ block.vectors[7:10].astype(np.float32).T).min() > 0.8


def test_items_do_not_depend_on_which_rows_are_asked_for_together(catalog: LargeCatalog) -> None:
    block = catalog.block(0)
    together = catalog.items(np.arange(100), block.sources, block.poles)
    alone = catalog.items(np.array([42]), block.sources[[42]], block.poles[[42]])
    assert together.slice(42, 1).to_pylist() == alone.to_pylist()
    assert dict(alone.column("attributes")[0].as_py())["pole"] == str(block.poles[42])
