"""The closed lists of reasons: why a row, a link or a photo was not taken."""

from enum import StrEnum


class RowReason(StrEnum):
    """Why a catalog row is in `catalog_quarantine`."""

    NO_PRODUCT_ID = "no_product_id"
    NO_IMAGE = "no_image"
    DUPLICATE_ID = "duplicate_id"
    PRICE_NOT_A_NUMBER = "price_not_a_number"
    PRICE_AMBIGUOUS = "price_ambiguous"
    PRICE_NEGATIVE = "price_negative"
    STOCK_NOT_A_FLAG = "stock_not_a_flag"
    DELETED_NOT_A_FLAG = "deleted_not_a_flag"
    TIMESTAMP_INVALID = "timestamp_invalid"
    ENCODING_INVALID = "encoding_invalid"
    FIELD_TOO_LONG = "field_too_long"
    ROW_UNREADABLE = "row_unreadable"


class FetchReason(StrEnum):
    """Why a link in `image_fetches` gave no photo. `http_<status>` is built by `http_reason`."""

    BAD_URL = "bad_url"
    SCHEME_REFUSED = "scheme_refused"
    ADDRESS_REFUSED = "address_refused"
    PATH_REFUSED = "path_refused"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    CONNECT_TIMEOUT = "connect_timeout"
    READ_TIMEOUT = "read_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    RESET = "reset"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    EMPTY = "empty"
    REDIRECT_LIMIT = "redirect_limit"
    REDIRECT_INVALID = "redirect_invalid"
    NOT_FOUND = "not_found"
    STORE_ERROR = "store_error"
    HTTP_400 = "http_400"
    HTTP_401 = "http_401"
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_410 = "http_410"
    HTTP_429 = "http_429"
    HTTP_4XX = "http_4xx"
    HTTP_500 = "http_500"
    HTTP_502 = "http_502"
    HTTP_503 = "http_503"
    HTTP_504 = "http_504"
    HTTP_5XX = "http_5xx"
    HTTP_OTHER = "http_other"


class PhotoReason(StrEnum):
    """Why a photo in `images` is not used."""

    NOT_AN_IMAGE = "not_an_image"
    FORMAT_REFUSED = "format_refused"
    TRUNCATED = "truncated"
    DECODE_FAILED = "decode_failed"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    EXTREME_ASPECT = "extreme_aspect"
    BLANK = "blank"
    BLURRED = "blurred"
    PLACEHOLDER = "placeholder"
    UNSAFE = "unsafe"


REDRIVABLE_REASONS = tuple(sorted({*map(str, FetchReason), *map(str, PhotoReason)}))
"""What a link failed with, or what its photo was rejected with: all that can be asked to be tried again."""


def http_reason(status: int) -> FetchReason:
    """The reason for an HTTP status that is no success: its own if listed, else its class."""
    for name in (f"http_{status}", f"http_{status // 100}xx"):
        if name in FetchReason._value2member_map_:
            return FetchReason(name)
    return FetchReason.HTTP_OTHER
