"""Attributes are found by name, value and range, in whichever form they are held."""

import numpy as np
import pyarrow as pa
import pytest

from retrieval.items.attributes import Attribute, CodedAttribute, PostedAttribute, read_attributes

ROWS = 2_000


def attributes_of(rows: list[list[tuple[str, str | None]] | None]) -> dict[str, Attribute]:
    return read_attributes(pa.array(rows, pa.map_(pa.string(), pa.string())))


def test_attributes_are_found_by_name_and_value() -> None:
    found = attributes_of([[("fit", "slim"), ("size", "M")], None, [], [("size", "L")], [("size", "M")]])
    assert set(found) == {"fit", "size"}
    assert found["size"].rows_with(["M"]).tolist() == [True, False, False, False, True]
    assert found["size"].rows_with(["M", "L"]).tolist() == [True, False, False, True, True]
    assert found["fit"].rows_with(["slim"]).tolist() == [True, False, False, False, False]


def test_one_that_is_a_number_is_found_by_range_and_one_with_a_unit_is_not() -> None:
    heel = attributes_of([[("heel", text)] for text in ("5", "7.5", " 9 ", "-1", "5 cm", "", "nan", "1e3")])["heel"]
    assert heel.rows_between(5, 9).tolist() == [True, True, True] + [False] * 5
    assert heel.rows_between(-np.inf, np.inf).sum() == 4


def test_those_of_a_slice_are_those_of_its_rows() -> None:
    maps = pa.array([[("k", "1")], [("k", "2")], [("k", "3")]], pa.map_(pa.string(), pa.string()))
    found = read_attributes(maps.slice(1))["k"]
    assert found.rows_with(["1"]).tolist() == [False, False]
    assert found.rows_with(["3"]).tolist() == [False, True]


@pytest.mark.parametrize(("share", "form"), [(0.9, CodedAttribute), (0.1, PostedAttribute)])
@pytest.mark.parametrize("values", [3, 150])
def test_what_many_rows_have_and_what_few_have_is_found_alike(share: float, form: type, values: int) -> None:
    rng = np.random.default_rng(values)
    given = [str(rng.integers(values)) if rng.random() < share else None for _ in range(ROWS)]
    rows = [[("other", "1"), ("size", value)] for value in given]  # a value of None is none
    size = attributes_of(rows)["size"]
    assert isinstance(size, form)
    for wanted in ({"1"}, {"0", "2", "unheard of"}, {str(number) for number in range(values - 1)}, set()):
        assert size.rows_with(wanted).tolist() == [value in wanted for value in given]
    assert size.rows_between(1, 120).tolist() == [value is not None and 1 <= int(value) <= 120 for value in given]
    some = rng.permutation(ROWS)[:50]
    for value in ("1", "unheard of"):
        assert size.has_value(some, value).tolist() == [given[row] == value for row in some]
