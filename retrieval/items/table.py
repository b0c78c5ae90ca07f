"""The Arrow form of `items.arrow`: one row a vector, in the order of the index."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.errors import Corrupt
from schemas.items import ITEM_COLUMNS

_ARROW_TYPES: dict[str, Any] = {
    "string": pa.string(),
    "int32": pa.int32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "map<string,string>": pa.map_(pa.string(), pa.string()),
    "timestamp[us, UTC]": pa.timestamp("us", tz="UTC"),
}

ITEMS_SCHEMA = pa.schema([pa.field(name, _ARROW_TYPES[type_name]) for name, type_name in ITEM_COLUMNS])


def conform_items(rows: Any) -> Any:
    """A pyarrow Table with exactly the item columns; absent ones are null, map entries are sorted by key.

    Sorting makes equal attributes equal bytes. Raises pyarrow.ArrowInvalid where a type cannot be cast.
    """
    columns = []
    for field in ITEMS_SCHEMA:
        if field.name not in rows.column_names:
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        column = rows.column(field.name)
        if pa.types.is_map(field.type):
            column = pa.array([_sorted_entries(entries) for entries in column.to_pylist()], field.type)
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=ITEMS_SCHEMA)


def _sorted_entries(entries: list[tuple[str, str]] | dict[str, str] | None) -> list[tuple[str, str]] | None:
    return None if entries is None else sorted(dict(entries).items())


def write_items(items: Any, path: Path) -> None:
    """Write as one uncompressed record batch of Arrow's file format, so that readers map it and equal rows are equal bytes."""
    batch = items.combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, ITEMS_SCHEMA) as writer:
        writer.write_table(batch)


def map_items(path: Path) -> Any:
    """The table, memory-mapped: workers share its pages. Raises Corrupt where it is not ours."""
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise Corrupt(path.name, "an Arrow file", str(error)) from error
    if not table.schema.equals(ITEMS_SCHEMA):
        raise Corrupt(path.name, f"the columns {ITEMS_SCHEMA.names}", f"{table.schema.names}")
    return table
