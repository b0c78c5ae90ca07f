"""The Delta tables: columns, keys and properties, as data from which `spark_jobs.lake.tables` makes DDL."""

from dataclasses import dataclass, field

LAKE_VERSION = 1
"""Written to every table as `shoplens.schema`; a table with a higher one is refused."""


@dataclass(frozen=True)
class Column:
    name: str
    sql_type: str
    comment: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """A Delta table: `path` is relative to the lake; `key` names the columns that are unique together."""

    path: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    change_feed: bool = False
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


PRODUCTS = Table(
    path="products",
    key=("product_id",),
    change_feed=True,
    columns=(
        Column("product_id", "STRING", "the shop's own id", nullable=False),
        Column("title", "STRING", "as shown"),
        Column("description", "STRING", "as shown"),
        Column("brand", "STRING", "as shown"),
        Column("category", "STRING", "as the shop names it"),
        Column("colour", "STRING", "as the shop names it"),
        Column("price", "DOUBLE", "in `currency`"),
        Column("currency", "STRING", "ISO 4217"),
        Column("in_stock", "BOOLEAN", "can be bought now"),
        Column("group_id", "STRING", "variants of one design share it; product_id where there are none"),
        Column("attributes", "MAP<STRING,STRING>", "anything else, by name"),
        Column("image_urls", "ARRAY<STRING>", "links in the shop's order, resolved"),
        Column("created_at", "TIMESTAMP", "as the source says; null where it does not"),
        Column("updated_at", "TIMESTAMP", "as the source says; null where it does not"),
        Column("content_hash", "STRING", "of all the columns above"),
        Column("first_seen", "TIMESTAMP", "end of the earliest interval that mentions it"),
        Column(
            "source_interval", "TIMESTAMP", "end of an interval that gave these columns (bookkeeping; changes: + 1 µs)"
        ),
        Column("deleted", "BOOLEAN", "a tombstone", nullable=False),
    ),
)

PRODUCT_BUSINESS_COLUMNS = (
    "product_id", "title", "description", "brand", "category", "colour", "price", "currency", "in_stock",
    "group_id", "attributes", "image_urls", "created_at", "updated_at", "content_hash", "first_seen", "deleted",
)  # fmt: skip

PRODUCT_MENTIONS = Table(
    path="product_mentions",
    key=("product_id",),
    columns=(
        Column("product_id", "STRING", "named by a change that altered nothing", nullable=False),
        Column("interval_end", "TIMESTAMP", "end of the newest such interval (changes: + 1 µs)", nullable=False),
    ),
)

CATALOG_INTERVALS = Table(
    path="catalog_intervals",
    key=("interval_end", "mode"),
    columns=(
        Column("interval_end", "TIMESTAMP", "end of the data interval", nullable=False),
        Column("interval_start", "TIMESTAMP", "its start", nullable=False),
        Column("mode", "STRING", "snapshot or changes", nullable=False),
        Column("rows_read", "BIGINT", "rows in the source"),
        Column("rows_bad", "BIGINT", "rows in quarantine"),
        Column("products_version", "BIGINT", "of the Delta table; product_images says the same as it"),
    ),
)

CATALOG_QUARANTINE = Table(
    path="catalog_quarantine",
    key=("interval_end", "mode", "row_hash", "reason", "field"),
    columns=(
        Column("interval_end", "TIMESTAMP", "of the run that met it", nullable=False),
        Column("mode", "STRING", "of that run: snapshot or changes", nullable=False),
        Column("row_hash", "STRING", "SHA-256 of the raw row", nullable=False),
        Column("reason", "STRING", "of schemas.reasons.RowReason", nullable=False),
        Column("product_id", "STRING", "where it is known"),
        Column("field", "STRING", "the column at fault, ours"),
        Column("raw", "STRING", "the row as JSON, cut at 8 KiB"),
    ),
)

PRODUCT_IMAGES = Table(
    path="product_images",
    key=("product_id", "image_id"),
    change_feed=True,
    columns=(
        Column("product_id", "STRING", "of products", nullable=False),
        Column("image_id", "STRING", "first 16 hex digits of the SHA-256 of url", nullable=False),
        Column("url", "STRING", "of image_fetches", nullable=False),
        Column("position", "INT", "0 is the shop's main photo", nullable=False),
    ),
)

IMAGE_FETCHES = Table(
    path="image_fetches",
    key=("url",),
    change_feed=True,
    columns=(
        Column("url", "STRING", "as in product_images", nullable=False),
        Column("status", "STRING", "ok, failed (will be tried again) or gave_up", nullable=False),
        Column("reason", "STRING", "of schemas.reasons.FetchReason; null when ok"),
        Column("http_status", "INT", "of the last answer"),
        Column("attempts", "INT", "requests that ended in this outcome, retries included", nullable=False),
        Column("failures_in_a_row", "INT", "runs that failed since the last success", nullable=False),
        Column("next_try_at", "TIMESTAMP", "not before; null: on its day of the cycle"),
        Column("etag", "STRING", "as the server gave it"),
        Column("last_modified", "STRING", "as the server gave it"),
        Column("content_sha256", "STRING", "of the downloaded bytes; of images"),
        Column("content_bytes", "BIGINT", "downloaded"),
        Column("final_url", "STRING", "after redirects"),
        Column("fetched_as_of", "TIMESTAMP", "recorded time of the run that last looked", nullable=False),
    ),
)

IMAGES = Table(
    path="images",
    key=("content_sha256",),
    change_feed=True,
    properties={"delta.dataSkippingNumIndexedCols": "12"},
    columns=(
        Column("content_sha256", "STRING", "of the downloaded bytes", nullable=False),
        Column("verdict", "STRING", "accepted or rejected", nullable=False),
        Column("reason", "STRING", "of schemas.reasons.PhotoReason; null when accepted"),
        Column("source_format", "STRING", "JPEG, PNG or WEBP, by content"),
        Column("source_bytes", "BIGINT", "as downloaded"),
        Column("width", "INT", "upright pixels, as stored"),
        Column("height", "INT", "upright pixels, as stored"),
        Column("phash", "BIGINT", "64-bit perceptual hash"),
        Column("sharpness", "DOUBLE", "variance of the Laplacian of the grey photo at 256 pixels"),
        Column("safety_score", "DOUBLE", "0 safe to 1 unsafe; null where no check ran, or it cannot tell"),
        Column("near_duplicate_of", "STRING", "smallest content_sha256 within the Hamming distance; null if none"),
        Column("detail", "STRING", "what the decoder said, cut at 200 characters"),
        Column("stored", "BINARY", "a JPEG of its pixels, upright, no metadata; null if its own check rejected it"),
    ),
)


def embeddings(model_id: str) -> Table:
    """The table of one model's vectors. Vectors stand last: Delta keeps no statistics of them."""
    return Table(
        path=f"embeddings/{model_id}",
        key=("content_sha256",),
        change_feed=True,
        properties={"delta.dataSkippingNumIndexedCols": "2"},
        columns=(
            Column("content_sha256", "STRING", "of images", nullable=False),
            Column("runtime", "STRING", "what computed it, such as onnxruntime-1.31-fp32", nullable=False),
            Column("vector", "ARRAY<FLOAT>", "unit length", nullable=False),
        ),
    )


BUILDS = Table(
    path="builds",
    key=("build_id",),
    columns=(
        Column("build_id", "STRING", "of the manifest", nullable=False),
        Column("model_id", "STRING", "of the manifest", nullable=False),
        Column("interval_end", "TIMESTAMP", "of the run that made it", nullable=False),
        Column("rows", "BIGINT", "vectors"),
        Column("recall_at_10", "DOUBLE", "photo queries, against exact search"),
        Column("passed", "BOOLEAN", "the gate"),
        Column("figures", "STRING", "the evaluation as JSON"),
    ),
)

ALL_TABLES = (
    PRODUCTS, PRODUCT_MENTIONS, CATALOG_INTERVALS, CATALOG_QUARANTINE, PRODUCT_IMAGES, IMAGE_FETCHES, IMAGES, BUILDS,
)  # fmt: skip
