"""The rows that a build must have, counted from random tables against what looking at each product finds."""

from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.index_build.source_rows import Sources, count_rows

pytestmark = pytest.mark.full

PRODUCTS, URLS, CONTENTS = 60, 90, 50


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[tuple[Any, ...]]]:
    draw = np.random.default_rng(4)
    return {
        "products": [(f"p{n}", bool(draw.random() < 0.3)) for n in range(PRODUCTS)],
        "links": [(f"p{draw.integers(PRODUCTS + 5)}", f"u{draw.integers(URLS)}", n) for n in range(300)],
        "fetches": [
            (f"u{n}", "gave_up" if draw.random() < 0.2 else "ok", f"c{draw.integers(CONTENTS)}" if n % 7 else None)
            for n in range(URLS - 10)
        ],
        "images": [(f"c{n}", "rejected" if draw.random() < 0.2 else "accepted") for n in range(CONTENTS - 5)],
        "vectors": [(f"c{n}",) for n in range(3, CONTENTS)],
    }


@pytest.fixture(scope="module")
def sources(spark: SparkSession, drawn: dict[str, list[tuple[Any, ...]]]) -> Sources:
    columns = {
        "products": "product_id string, deleted boolean", "links": "product_id string, url string, position int",
        "fetches": "url string, status string, content_sha256 string",
        "images": "content_sha256 string, verdict string", "vectors": "content_sha256 string",
    }  # fmt: skip
    return Sources(*(spark.createDataFrame(drawn[name], ddl) for name, ddl in columns.items()))


@pytest.fixture(scope="module")
def expected(drawn: dict[str, list[tuple[Any, ...]]]) -> dict[str, int]:
    live = {product for product, deleted in drawn["products"] if not deleted}
    usable = {content for content, verdict in drawn["images"] if verdict == "accepted"}
    usable &= {content for (content,) in drawn["vectors"]}
    content_of = {url: content for url, status, content in drawn["fetches"] if status == "ok" and content in usable}
    rows = {(product, content_of[url]) for product, url, _ in drawn["links"] if product in live and url in content_of}
    return {"rows": len(rows), "products": len({product for product, _ in rows})}


@pytest.mark.parametrize("exactly", [False, True])
def test_rows_and_products_are_counted(sources: Sources, expected: dict[str, int], exactly: bool) -> None:
    assert count_rows(sources, exactly=exactly) == expected
    assert 0 < expected["products"] < expected["rows"]


def test_hashes_that_collide_spoil_only_the_count_that_is_not_exact(
    sources: Sources, expected: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def collide(key: str) -> Any:
        return F.length(key)

    monkeypatch.setattr(F, "xxhash64", collide)
    assert count_rows(sources) != expected
    assert count_rows(sources, exactly=True) == expected
