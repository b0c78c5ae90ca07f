"""A catalog read without Spark gives the photos and labels that its mapping names."""

import datetime
import gzip
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


def mapping_of(source: dict[str, object], images: dict[str, object]) -> CatalogMapping:
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


def test_rows_that_are_left_out_are_counted_by_reason_as_ingest_counts_them(tmp_path: Path):
    rows = [
        "sku,kind,wool,front,back",
        ",hat,,a.jpg,",
        "2,bag,,,",
        "3,few",
        "4,hat,,a.jpg,,more",
        ",,,,",
        "5,hat,,b.jpg,",
    ]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    rejected: Counter[str] = Counter()
    assert [photo.value("product_id") for photo in read_labelled_photos(tmp_path, CSV, rejected)] == ["5"]
    assert rejected == {"no_product_id": 1, "no_image": 1, "row_unreadable": 2}


@pytest.mark.parametrize(
    ("rows", "read", "lines"),
    [
        ('1,hat,,a.jpg,\n2,"bag,,b.jpg,\n3,hat,,c.jpg,\n4,hat,,d.jpg,\n', ["1"], 3),
        ('1,hat,,a.jpg,\n2,bag,,b.jpg,"\n3,hat,,c.jpg,\n4,hat,,d.jpg,\n', ["1"], 3),  # all fields are there
        ('1,"hat,,a.jpg,\n2,"bag",,b.jpg,\n3,hat,,c.jpg,\n', ["3"], 2),  # closed by the next row's
        ('1,"""hat""\nfelt" ,,a.jpg,\n2,TV 32" big,,b.jpg,\n3,"TV 32" big",,c.jpg,\n', ["1", "2", "3"], 0),
        ('1,"hat,,a.jpg,\n' + "2,hat,,b.jpg,\n" * 20_000, [], 20_001),
    ],
)
def test_rows_that_an_open_quote_swallows_are_counted(tmp_path: Path, rows: str, read: list[str], lines: int):
    (tmp_path / "rows.csv").write_text(f"sku,kind,wool,front,back\n{rows}")
    rejected: Counter[str] = Counter()
    assert [photo.value("product_id") for photo in read_labelled_photos(tmp_path, CSV, rejected)] == read
    assert rejected["row_unreadable"] == lines


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
    (tmp_path / "rows.jsonl").write_text(f"not json\n\n{json.dumps(row)},\n[1]\n")
    rejected: Counter[str] = Counter()
    assert [photo.value("product_id") for photo in read_labelled_photos(tmp_path, mapping, rejected)] == ["1", "1"]
    assert rejected == {"row_unreadable": 2}


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


def test_csv_is_read_as_the_mapping_says_and_as_ingest_does(tmp_path: Path):
    source = {"format": "csv", "path": "rows.csv.gz", "delimiter": ";", "encoding": "UTF-8"}
    mapping = mapping_of(source, {"columns": ["front", "back"]})
    rows = "\ufeffSKU; Kind ;wool;front;back\n1;few\n2;hat;;a.jpg;\n"
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(rows.encode()))
    (photo,) = read_labelled_photos(tmp_path, mapping)
    assert (photo.value("product_id"), photo.value("category")) == ("2", "hat")


def test_csv_may_begin_with_blank_lines_or_a_mark_in_any_encoding(tmp_path: Path):
    mapping = mapping_of({"format": "csv", "path": "rows.csv", "encoding": "utf-16-le"}, {"column": "front"})
    rows = '\ufeff\r\n\r\nsku, kind,wool,front\r\n1, "hat, felt",,a.jpg\n'
    (tmp_path / "rows.csv").write_bytes(rows.encode("utf-16-le"))
    assert [photo.value("category") for photo in read_labelled_photos(tmp_path, mapping)] == ["hat, felt"]


def test_columns_of_links_may_be_templates_and_lack_nothing_that_these_name(tmp_path: Path):
    mapping = mapping_of({"format": "csv", "path": "rows.csv"}, {"columns": ["p/{front}.jpg", "p/{front}-{back}.jpg"]})
    (tmp_path / "rows.csv").write_text("sku,kind,wool,front,back\n1,hat,,a,b\n2,hat,,c,\n")
    assert [Path(photo.link).name for photo in read_labelled_photos(tmp_path, mapping)] == ["a.jpg", "a-b.jpg", "c.jpg"]


def test_a_delta_table_is_refused_since_its_folder_holds_old_files_too(tmp_path: Path):
    (tmp_path / "rows" / "_delta_log").mkdir(parents=True)
    with pytest.raises(BadData, match="is a Delta table"):
        read_labelled_photos(tmp_path, mapping_of({"format": "parquet", "path": "rows"}, {"template": "{sku}.jpg"}))


def test_a_compressed_file_that_is_cut_off_is_one_line(tmp_path: Path):
    mapping = mapping_of({"format": "csv", "path": "rows.csv.gz"}, {"column": "front"})
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"sku,kind,wool,front\n1,hat,,a.jpg\n")[:-9])
    with pytest.raises(BadData, match="cannot be read as csv"):
        read_labelled_photos(tmp_path, mapping)


def test_a_pattern_that_can_match_nothing_is_one_line(tmp_path: Path):
    for path in ("/elsewhere/*.csv", "**rows"):
        with pytest.raises(BadData, match=r"source\.path"):
            read_labelled_photos(tmp_path, mapping_of({"format": "csv", "path": path}, {"column": "front"}))


def test_json_lines_may_be_compressed_and_begin_with_a_byte_order_mark(tmp_path: Path):
    mapping = mapping_of({"format": "jsonl", "path": "rows.jsonl.gz"}, {"column": "photos"})
    row = {"sku": 1, "kind": "hat", "photos": "a.jpg"}
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(f"\ufeff{json.dumps(row)}\n".encode()))
    assert [photo.value("category") for photo in read_labelled_photos(tmp_path, mapping)] == ["hat"]


def test_parquet_columns_of_any_type_are_read(tmp_path: Path):
    mapping = mapping_of({"format": "parquet", "path": "rows.parquet"}, {"template": "{sku}.jpg"})
    told = [[{"at": datetime.datetime(2026, 1, 31)}]]
    table = pa.table({"sku": [1], "kind": [b"hat"], "wool": [None], "history": told})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert [photo.value("category") for photo in read_labelled_photos(tmp_path, mapping)] == ["hat"]


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("[a.jpg", "not_found"),  # begins like a list, and is none
        ("http://[::1/a.jpg", "bad_url"),
        ("HTTP://127.0.0.1:9/a b.jpg", "connect"),
        ("http://127.0.0.1:99999/a.jpg", "bad_url"),
        ("//127.0.0.1:9/a.jpg", "connect"),
        ("ftp://127.0.0.1/a.jpg", "scheme_refused"),
    ],
)
def test_a_strange_link_is_a_reason_not_a_crash(tmp_path: Path, link: str, reason: str):
    mapping = mapping_of({"format": "csv", "path": "rows.csv"}, {"column": "front"})
    (tmp_path / "rows.csv").write_text(f"sku,kind,wool,front\n1,hat,,{link}\n")
    rejected: Counter[str] = Counter()
    list(photo_batches(read_labelled_photos(tmp_path, mapping), 2, lambda image: image.size, rejected))
    assert rejected == {reason: 1}


def test_names_with_dots_lead_into_columns_as_in_ingest(tmp_path: Path):
    row = {"sku": 1, "type": {"name": "hat"}, "photos": [{"src": "a.jpg"}, {"src": "b.jpg"}]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "rows.parquet")
    for source_format in ("jsonl", "parquet"):
        document = {
            "source": {"format": source_format, "path": f"rows.{source_format}"},
            "columns": {"product_id": "sku", "category": "type.name"},
            "images": {"column": "photos.src"},
        }
        photos = read_labelled_photos(tmp_path, parse_mapping(document, "test.toml"))
        assert [(Path(photo.link).name, photo.value("category")) for photo in photos] == [
            ("a.jpg", "hat"),
            ("b.jpg", "hat"),
        ]


def test_a_column_of_several_may_hold_a_gallery(tmp_path: Path):
    (tmp_path / "rows.csv").write_text(
        'sku,kind,wool,front,back\n1,hat,,m.jpg,"[""g.jpg"",""h.jpg""]"\n2,bag,,"i,j|k",\n'
    )
    for separator, last in (({}, ["i,j|k"]), ({"separator": ","}, ["i", "j|k"])):
        by = mapping_of({"format": "csv", "path": "rows.csv"}, {"columns": ["front", "back"], **separator})
        names = [Path(photo.link).name for photo in read_labelled_photos(tmp_path, by)]
        assert names == ["m.jpg", "g.jpg", "h.jpg", *last]


def test_a_name_with_dots_that_leads_nowhere_is_refused(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("sku,kind,wool,photos\n1,hat,,a.jpg\n")
    with pytest.raises(MappingInvalid, match=r"pictures\.src"):
        read_labelled_photos(tmp_path, mapping_of({"format": "csv", "path": "rows.csv"}, {"column": "pictures.src"}))


def test_texts_that_a_shop_writes_for_nothing_are_nothing(tmp_path: Path):
    (tmp_path / "rows.csv").write_text("sku,kind,wool,front\n1,NULL,,a.jpg\n2,hat,, NULL \n")
    mapping = mapping_of({"format": "csv", "path": "rows.csv", "nulls": ["NULL"]}, {"column": "front"})
    rejected: Counter[str] = Counter()
    (photo,) = read_labelled_photos(tmp_path, mapping, rejected)
    assert (photo.value("product_id"), photo.value("category"), rejected) == ("1", "", {"no_image": 1})
