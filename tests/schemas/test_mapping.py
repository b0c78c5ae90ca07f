from pathlib import Path

import pytest

from schemas.errors import MappingInvalid
from schemas.mapping import fields_of, parse_mapping, read_mapping, way_into

SMALLEST = {"source": {"format": "csv"}, "columns": {"product_id": "sku"}, "images": {"column": "photo"}}


def test_the_smallest_mapping_names_an_id_and_a_photo() -> None:
    mapping = parse_mapping(SMALLEST, "m.toml")
    assert mapping.columns == {"product_id": "sku"}
    assert mapping.images.column == "photo"
    assert mapping.source_columns == ("photo", "sku")


def test_decimals_have_a_point_unless_the_mapping_says_otherwise() -> None:
    assert parse_mapping(SMALLEST, "m.toml").decimal == "."
    assert parse_mapping(SMALLEST | {"source": {"format": "jsonl", "decimal": ","}}, "m.toml").decimal == ","


def test_templates_name_every_column_in_braces() -> None:
    assert fields_of("{name} in {colour}") == ("name", "colour")
    assert fields_of("name") == ("name",)


def test_a_name_with_dots_is_a_way_into_a_column():
    assert way_into("variants.0.price") == ("variants", ("0", "price"))
    assert [way_into(name) for name in ("name", ".name", "name.", "Nr. 1.", "a..b")] == [None] * 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": {"format": "xml"}}, "source.format is 'xml'"),
        ({"source": {"format": "postgresql"}}, "source.table is needed"),
        ({"columns": {"title": "name"}}, "columns.product_id is missing"),
        ({"columns": {"product_id": "sku", "colr": "c"}}, "columns.colr is unknown"),
        ({"columns": {"product_id": 7}}, "must be the name of a column"),
        ({"images": {}}, "exactly one of columns, column or template"),
        ({"images": {"column": "a", "template": "{a}.jpg"}}, "exactly one of"),
        ({"defaults": {"pric": 1}}, "defaults.pric is unknown"),
        ({"extra": {}}, "unknown section [extra]"),
        ({"source": {"format": "csv", "delimeter": ";"}}, "source.delimeter is unknown"),
        ({"source": {"format": "csv", "delimiter": "||"}}, "write the one sign between fields"),
        ({"source": {"decimal": ";"}}, 'source.decimal is \';\': write "." or ","'),
        ({"source": {"decimal": 1}}, "source.decimal is 1"),
        ({"images": {"colum": "photo"}}, "images.colum is unknown"),
        ({"images": {"columns": "photo"}}, "images.columns must be a list of names"),
        ({"images": {"columns": ["photo", 2]}}, "images.columns must be a list of names"),
        ({"images": {"column": ["a", "b"]}}, "images.column must be text"),
        ({"images": {"template": 3}}, "images.template must be text"),
        ({"images": {"column": "a", "base": 3}}, "images.base must be text"),
        ({"images": {"column": "a", "separator": ""}}, "images.separator is empty"),
        ({"images": {"column": "a", "base": "//cdn.example/"}}, "write https://cdn.example/"),
        (
            {"images": {"column": "a", "base": "https://shop.example/?f="}},
            'write template = "https://shop.example/?f={',
        ),
        ({"images": {"column": "a", "base": "https://[shop/"}}, "images.base is no address"),
        ({"source": {"path": ["a.csv", "b.csv"]}}, "source.path must be text"),
        ({"source": {"nulls": "NULL"}}, "source.nulls must be a list of texts"),
        ({"source": "catalog.csv"}, "write [source] on a line of its own"),
        ({"defaults": "EUR"}, "write [defaults] on a line of its own"),
        ({"attributes": "fabric"}, "write [attributes] on a line of its own"),
        ({"defaults": {"in_stock": [True]}}, "defaults.in_stock must be"),
    ],
)
def test_a_mapping_that_does_not_fit_says_which_key_and_why(change: dict, says: str) -> None:
    with pytest.raises(MappingInvalid, match=r"m\.toml") as caught:
        parse_mapping(SMALLEST | change, "m.toml")
    assert says in str(caught.value)


def test_a_missing_mapping_file_says_how_to_give_one(tmp_path: Path) -> None:
    with pytest.raises(MappingInvalid, match="--mapping"):
        read_mapping(tmp_path / "none.toml")


def test_a_mapping_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("[source\n")
    with pytest.raises(MappingInvalid, match="no TOML"):
        read_mapping(tmp_path / "m.toml")


def test_a_mapping_that_is_no_file_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(MappingInvalid, match="cannot be read: Is a directory"):
        read_mapping(tmp_path)


def test_a_mapping_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text('\ufeff[source]\n[columns]\nproduct_id = "sku"\n[images]\ncolumn = "photo"\n', encoding="utf-8")
    assert read_mapping(file).columns == {"product_id": "sku"}
