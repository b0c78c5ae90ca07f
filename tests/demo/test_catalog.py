"""What is written to a folder: rows, photos, faults, mapping."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import demo
from demo.catalog import CatalogPlan, main, read_plan, write_catalog
from demo.faults import ROW_FAULTS, read_faults
from demo.rows import write_mapping
from schemas.mapping import read_mapping


def rows_of(folder):
    with (folder / "catalog.csv").open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_folders_of_one_plan_are_equal_byte_for_byte(tmp_path):
    plan = CatalogPlan(products=6, bad_rows=True, fault_share=0.3)
    write_catalog(tmp_path / "one", plan, workers=1)
    write_catalog(tmp_path / "two", plan, workers=1)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.full
def test_processes_draw_the_same_photos_as_one_process(tmp_path):
    plan = CatalogPlan(products=15)
    write_catalog(tmp_path / "one", plan, workers=1)
    write_catalog(tmp_path / "two", plan, workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_every_link_is_a_file_or_a_fault_without_one(tmp_path):
    summary = write_catalog(tmp_path, CatalogPlan(products=16, fault_share=0.4), workers=1)
    links = {row[name] for row in rows_of(tmp_path) for name in ("image_1", "image_2", "image_3")} - {""}
    without = {
        path for path, kind in read_faults(tmp_path).items() if kind in ("dead", "gone", "moved", "redirect_loop")
    }
    assert {link for link in links if not (tmp_path / link).exists()} == without
    assert summary.photos == len(links)
    assert summary.faulty_photos == len(read_faults(tmp_path)) > 5


def test_photos_that_are_there_are_not_drawn_again(tmp_path):
    first = write_catalog(tmp_path, CatalogPlan(products=4), workers=1)
    again = write_catalog(tmp_path, CatalogPlan(products=5), workers=1)
    assert first.photos_drawn > 6
    assert again.photos_drawn == again.photos - first.photos
    photo = next((tmp_path / "photos").rglob("P000001-0.jpg"))
    old = photo.read_bytes()
    write_catalog(tmp_path, CatalogPlan(products=5, seed=8), workers=1)
    assert photo.read_bytes() != old


def test_bad_rows_are_added_and_recorded(tmp_path):
    write_catalog(tmp_path, CatalogPlan(products=10, bad_rows=True, lazy=True))
    rows = rows_of(tmp_path)
    with (tmp_path / "faults.csv").open(newline="") as file:
        recorded = {row["kind"]: (int(row["row"]), row["reason"]) for row in csv.DictReader(file) if row["row"]}
    assert len(rows) == 10 + len(ROW_FAULTS)
    assert {kind: reason for kind, (_, reason) in recorded.items()} == ROW_FAULTS
    assert rows[recorded["missing_id"][0] - 1]["sku"] == ""
    assert rows[recorded["missing_link"][0] - 1]["image_1"] == ""
    assert rows[recorded["price_not_a_number"][0] - 1]["price"] == "N/A"
    assert rows[recorded["duplicate_id"][0] - 1]["sku"] == rows[0]["sku"]
    with pytest.raises(UnicodeDecodeError):
        (tmp_path / "catalog.csv").read_text(encoding="utf-8")


def test_jsonl_and_parquet_hold_the_same_rows_as_csv(tmp_path):
    for table_format in ("csv", "jsonl", "parquet"):
        write_catalog(tmp_path, CatalogPlan(products=6, table_format=table_format, lazy=True))
    rows = rows_of(tmp_path)
    assert pq.read_table(tmp_path / "catalog.parquet").to_pylist() == rows
    typed = [json.loads(line) for line in (tmp_path / "catalog.jsonl").read_text().splitlines()]
    assert [row["price"] for row in typed] == [float(row["price"]) for row in rows]
    assert [row["sku"] for row in typed] == [row["sku"] for row in rows]


def test_the_mapping_file_names_columns_of_the_catalog(tmp_path):
    write_catalog(tmp_path, CatalogPlan(products=2, lazy=True))
    mapping = read_mapping(tmp_path / "mapping.toml")
    assert set(mapping.source_columns) <= set(rows_of(tmp_path)[0])
    assert mapping.images.base is None
    assert read_mapping(write_mapping(tmp_path, base_url="http://127.0.0.1:1")).images.base == "http://127.0.0.1:1/"


def test_the_mapping_of_the_real_photos_is_valid():
    mapping = read_mapping(Path(demo.__file__).parent / "clothing.toml")
    assert mapping.columns["category"] == "label"
    assert set(mapping.source_columns) <= {"image", "sender_id", "label", "kids"}


def test_a_day_of_changes_holds_only_its_rows(tmp_path):
    write_catalog(tmp_path / "whole", CatalogPlan(products=400, day=1, lazy=True))
    write_catalog(tmp_path / "part", CatalogPlan(products=400, day=1, lazy=True, changes_only=True))
    whole, part = rows_of(tmp_path / "whole"), rows_of(tmp_path / "part")
    removed = {row["sku"] for row in part if row["removed"] == "true"}
    assert 2 <= len(part) < 20
    assert [row for row in part if row["removed"] == "false"] == [
        row for row in whole if row["updated_at"] == "2026-01-02T00:00:00Z"
    ]
    assert removed == {f"P{number:06d}" for number in range(400)} - {row["sku"] for row in whole}
    assert removed


def test_links_are_absolute_where_a_base_url_is_given(tmp_path):
    write_catalog(tmp_path, CatalogPlan(products=2, lazy=True, base_url="http://127.0.0.1:1/"))
    assert rows_of(tmp_path)[0]["image_1"] == "http://127.0.0.1:1/photos/000/P000000-0.jpg"


def test_the_command_writes_what_its_options_say(tmp_path):
    options = ["--out", str(tmp_path), "--products", "5", "--seed", "9", "--day", "2", "--lazy"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["photos_drawn"] == 0
    assert read_plan(tmp_path) == CatalogPlan(products=5, seed=9, day=2, lazy=True)
