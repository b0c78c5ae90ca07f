"""Thumbnails that the store lacks are written, the others left as they are, whether they are listed or asked for."""

from pathlib import Path

import pytest
from pyspark.sql import DataFrame

from retrieval.store.objects import FolderStore
from schemas.manifest import thumbnail_key
from schemas.tables import IMAGES
from spark_jobs.index_build import thumbnails
from spark_jobs.index_build.thumbnails import write_thumbnails
from spark_jobs.lake.tables import Lake
from tests.spark_jobs.fetch.photos import photo

pytestmark = pytest.mark.full
CONTENTS = [f"{number % 4:02x}{number:062x}" for number in range(10)]


@pytest.fixture
def images(lake: Lake) -> DataFrame:
    lake.ensure(IMAGES)
    rows = [(content, "accepted", photo(number)) for number, content in enumerate(CONTENTS)]
    photos = lake.spark.createDataFrame(rows, "content_sha256 string, verdict string, stored binary")
    photos.write.format("delta").mode("append").save(lake.path(IMAGES))
    return lake.read(IMAGES)


@pytest.mark.parametrize("asked_for_max", [0, 100])
def test_those_that_are_missing_are_written(
    lake: Lake, images: DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_for_max: int
) -> None:
    monkeypatch.setattr(thumbnails, "_ASKED_FOR_MAX", asked_for_max)
    store = FolderStore(tmp_path / "store")
    for content in CONTENTS[:3]:
        store.put(thumbnail_key(content), b"as it was")
    ids = lake.spark.createDataFrame([(content,) for content in CONTENTS[:8] * 2], "image_id string")
    assert write_thumbnails(ids, images, store) == (5, 3)
    assert write_thumbnails(ids, images, store) == (0, 8)
    written = {content: store.get(thumbnail_key(content)) for content in CONTENTS}
    assert [found.data for content, found in written.items() if found and content in CONTENTS[:3]] == [b"as it was"] * 3
    assert [content for content, found in written.items() if found is None] == CONTENTS[8:]
    assert all(written[content].data.startswith(b"\xff\xd8") for content in CONTENTS[3:8])
