import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from online.snapshots.catalog import Catalog
from retrieval.items.table import conform_items

IDS = st.text(st.sampled_from("aZ9é€😀- "), min_size=1, max_size=3)


@given(st.lists(IDS, min_size=1, max_size=30), st.lists(IDS, max_size=5))
def test_a_products_rows_are_found_in_order_in_any_script(stored: list[str], others: list[str]) -> None:
    catalog = Catalog.of(conform_items(pa.table({"product_id": stored})))
    found = catalog.rows_of_products([*stored, *others])
    expected = {name: [row for row, each in enumerate(stored) if each == name] for name in stored}
    assert {name: rows.tolist() for name, rows in found.items()} == expected


def test_a_tile_has_its_attributes_as_a_dict() -> None:
    attributes = pa.array([[("size", "M")], None], pa.map_(pa.string(), pa.string()))
    catalog = Catalog.of(conform_items(pa.table({"product_id": ["a", "b"], "attributes": attributes})))
    tiles = catalog.tiles(catalog.rows_of_products(["b", "a"])["a"])
    assert [(tile["product_id"], tile["attributes"]) for tile in tiles] == [("a", {"size": "M"})]
