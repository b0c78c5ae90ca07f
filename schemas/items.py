"""The columns of `items.arrow`: row number (implicit) → product, photo, group and attributes."""

ITEM_COLUMNS: tuple[tuple[str, str], ...] = (
    ("product_id", "string"),
    ("image_id", "string"),  # content_sha256: names the thumbnail and the embedding
    ("image_position", "int32"),
    ("group_id", "string"),
    ("title", "string"),
    ("brand", "string"),
    ("category", "string"),
    ("colour", "string"),
    ("price", "float64"),
    ("currency", "string"),
    ("in_stock", "bool"),
    ("attributes", "map<string,string>"),
    ("created_at", "timestamp[us, UTC]"),  # as the source says, else first_seen
)
