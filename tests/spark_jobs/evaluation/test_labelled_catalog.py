"""A catalog read without Spark gives the photos and labels that its mapping names."""

import json
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from schemas.errors import BadData, MappingInvalid, PhotoRejected
from schemas.mapping import CatalogMapping, parse_mapping
from spark_jobs.evaluation.labelled_catalog import open_photo, photo_batches, read_labelled_photos

COLUMNS = {"product_id": "sku", "category": "kind", "title": "{kind} of {wool}"}


def mapping_of(source: dict[str, str], images: dict[str, object]) -> CatalogMapping:
    return parse_mapping({"source": source, "columns": COLUMNS, "images": images, "attributes": {"wool": "wool"}}, "m")


CSV = mapping_of({"format": "csv", "path": "rows.csv"}, {"columns": ["front", "back"]})


def test_every_photo_of_a_row_carries_its_labels(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("sku,kind,wool,front,back\n1,hat,merino,a.jpg,b.jpg\n2,bag,,c.jpg,\n")
    photos = read_labelled_photos(tmp_path, CSV)
    assert [Path(photo.link).name for photo in photos] == ["a.jpg", "b.jpg", "c.jpg"]
    assert photos[1].values == {"product_id": "1", "category": "hat", "title": "hat of merino", "wool": "merino"}
    assert photos[2].value("wool") == ""


def test_rows_without_an_id_are_left_out(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("sku,kind,wool,front,back\n,hat,,a.jpg,\n2,bag,,c.jpg,\n")
    assert [photo.value("product_id") for photo in read_labelled_photos(tmp_path, CSV)] == ["2"]


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("sku,wool,front,back\n1,merino,a.jpg,\n")
    with pytest.raises(MappingInvalid, match=r"no column 'kind'.*sku"):
        read_labelled_photos(tmp_path, CSV)


def test_a_missing_file_says_what_to_check(tmp_path: Path):
    with pytest.raises(BadData, match=r"no rows\.csv"):
        read_labelled_photos(tmp_path, CSV)


def test_json_lines_that_are_none_do_not_stop_the_others(tmp_path: Path):
    mapping = mapping_of({"format": "jsonl", "path": "rows.jsonl"}, {"column": "photos"})
    row = {"sku": 1, "kind": "hat", "photos": ["a.jpg", "b.jpg"]}
    (tmp_path / "rows.jsonl").write_text("not json\n" + json.dumps(row) + "\n")
    assert [photo.value("product_id") for photo in read_labelled_photos(tmp_path, mapping)] == ["1", "1"]


def test_parquet_folders_are_read_file_by_file(tmp_path: Path):
    mapping = mapping_of({"format": "parquet", "path": "rows"}, {"template": "https://shop.example/{sku}.jpg"})
    (tmp_path / "rows").mkdir()
    for sku in (1, 2):
        table = pa.table({"sku": [sku], "kind": ["hat"], "wool": [None]})
        pq.write_table(table, tmp_path / "rows" / f"part-{sku}.parquet")
    (tmp_path / "rows" / "_SUCCESS").touch()
    links = [photo.link for photo in read_labelled_photos(tmp_path, mapping)]
    assert links == ["https://shop.example/1.jpg", "https://shop.example/2.jpg"]


def test_bad_photos_are_counted_by_reason_and_left_out(tmp_path: Path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_text("<html>")
    (tmp_path / "rows.csv").write_text("sku,kind,wool,front,back\n1,hat,,a.jpg,b.jpg\n2,bag,,c.jpg,\n")
    rejected: Counter[str] = Counter()
    batches = list(photo_batches(read_labelled_photos(tmp_path, CSV), 2, lambda image: image.size, rejected))
    assert [rows for rows, _ in batches] == [[0], []]
    assert batches[0][1] == [(8, 8)]
    assert rejected == {"not_an_image": 1, "not_found": 1}


def test_a_file_address_is_a_local_path(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a b.png")
    uri = (tmp_path / "a b.png").as_uri()
    assert unquote(uri) != uri
    assert open_photo(uri).size == (8, 8)


def test_an_address_where_nobody_listens_is_a_reason_not_a_crash():
    with pytest.raises(PhotoRejected) as refused:
        open_photo("http://127.0.0.1:9/a.jpg")
    assert refused.value.reason == "connect"
