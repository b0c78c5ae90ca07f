import numpy as np
import pyarrow as pa
import pytest

from retrieval.items.columns import ItemColumns
from retrieval.items.table import conform_items


def columns_of(**columns: list[object]) -> ItemColumns:
    rows = len(next(iter(columns.values())))
    table = {"product_id": pa.array([f"p{row}" for row in range(rows)])}
    for name, values in columns.items():
        table[name] = pa.array(values, pa.map_(pa.string(), pa.string()) if name == "attributes" else None)
    return ItemColumns.of(conform_items(pa.table(table)))


def test_a_product_without_a_group_is_a_group_of_its_own() -> None:
    columns = columns_of(group_id=["a", None, "a", "p1"])
    assert columns.groups.tolist() == [0, 1, 0, 1]
    assert columns.group_count == 2


def test_words_are_found_by_value_and_a_row_without_one_has_none() -> None:
    columns = columns_of(colour=["red", None, "blue", "red"])
    assert columns.colour.rows_with(["red"]).tolist() == [True, False, False, True]
    assert columns.colour.rows_with(["blue", "unheard of"]).tolist() == [False, False, True, False]
    assert not columns.colour.rows_with([]).any()


def test_missing_numbers_are_no_numbers() -> None:
    columns = columns_of(price=[1.5, None], in_stock=[True, None], created_at=[None, np.datetime64("1970-01-03", "us")])
    assert columns.price.tolist() == pytest.approx([1.5, np.nan], nan_ok=True)
    assert columns.in_stock.tolist() == [1, -1]
    assert columns.created_day.tolist() == pytest.approx([np.nan, 2.0], nan_ok=True)


def test_a_table_without_any_value_has_columns_all_the_same() -> None:
    columns = columns_of(product_id=["a"])
    assert columns.attributes == {}
    assert columns.category.values == ()
    assert not columns.category.rows_with(["x"]).any()


def test_many_values_are_found_as_few_are() -> None:
    values = [str(number) for number in range(20)]
    columns = columns_of(colour=[*values, None])
    for wanted in (values[:3], values[:15]):
        expected = [value in wanted for value in values] + [False]
        assert columns.colour.rows_with(wanted).tolist() == expected


@pytest.mark.parametrize(("values", "bytes_a_row"), [(1, 1), (127, 1), (128, 2), (32_767, 2), (32_768, 4)])
def test_codes_are_as_narrow_as_their_values_allow(values: int, bytes_a_row: int) -> None:
    brands = pa.array([f"b{number}" for number in range(values)])
    column = ItemColumns.of(conform_items(pa.table({"product_id": brands, "brand": brands}))).brand
    assert column.codes.itemsize == bytes_a_row
    assert column.rows_with([f"b{values - 1}"]).nonzero()[0].tolist() == [values - 1]
    assert int(column.codes[-1] + 1) == values
