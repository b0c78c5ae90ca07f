"""A row's photo links: found where the mapping says, and made absolute."""

from pathlib import Path
from urllib.parse import urlsplit

from pyspark.sql import Column
from pyspark.sql import functions as F

from schemas.mapping import LINK_SEPARATOR, ImageLinks
from spark_jobs.catalog.text import clean, expression, template

_HAS_SCHEME = r"^[A-Za-z][A-Za-z0-9+.\-]+:"
_JSON = r'^[\[{]\s*"'
"""An object or a list where a link should be: as a file's name it would be asked for every night."""


def base_uri(links: ImageLinks, folder_uri: str | None) -> str | None:
    """What relative links are joined to, with a slash at its end; None where there is nothing to join them to.

    A `base` without a scheme is a folder, relative to the catalog's own.
    """
    if not links.base:
        return folder_uri
    if urlsplit(links.base).scheme:
        return links.base.rstrip("/") + "/"
    if Path(links.base).is_absolute():
        return Path(links.base).as_uri() + "/"
    return f"{folder_uri}{links.base.strip('/')}/" if folder_uri else None


def found_links(links: ImageLinks) -> Column:
    """The links as they stand in the row, in the shop's order: ARRAY<STRING>, blanks left out."""
    if links.columns:  # a main photo often stands beside a gallery, which is a list in its one field
        fields = [_split(expression(column, blank_if_null=False), links.separator) for column in links.columns]
        given = F.flatten(F.array_compact(F.array(*fields)))
    elif links.column:
        given = _split(expression(links.column, blank_if_null=False), links.separator or LINK_SEPARATOR)
    else:
        given = F.array(template(str(links.template), blank_if_null=False))
    cleaned = F.filter(F.transform(given, clean), lambda link: link.isNotNull() & ~link.rlike(_JSON))
    return F.coalesce(cleaned, F.array().cast("array<string>"))


def resolved_links(found: Column, base: str | None) -> Column:
    """Absolute links, each once. What has a scheme stays as it is; relative ones need a base, or are left out."""
    return F.array_distinct(F.array_compact(F.transform(found, lambda link: _resolve(link, base))))


def _split(text: Column, separator: str | None) -> Column:
    """A list in one field: a JSON array, or parts between separators, where there is one."""
    parts = F.split(text, r"\Q" + separator + r"\E") if separator else F.when(text.isNotNull(), F.array(text))
    is_list = F.ltrim(text).startswith("[") & F.rtrim(text).endswith("]")  # [1].jpg is a file
    as_json = F.when(is_list, F.from_json(text, "array<string>"))
    return F.coalesce(as_json, parts)


def _resolve(link: Column, base: str | None) -> Column:
    if base is None:
        return F.when(link.rlike(_HAS_SCHEME), link)
    parts = urlsplit(base)
    origin = f"{parts.scheme}://{parts.netloc}"
    slashed = F.replace(link, F.lit("\\"), F.lit("/"))
    below = F.regexp_replace(slashed, r"^(\./)+", "")
    web_scheme = parts.scheme if parts.scheme in ("http", "https") else "https"
    return (
        F.when(link.rlike(_HAS_SCHEME), link)
        .when(slashed.startswith("//"), F.concat(F.lit(f"{web_scheme}:"), slashed))
        .when(slashed.startswith("/"), F.concat(F.lit(origin), _encoded(slashed, parts.scheme)))
        .otherwise(F.concat(F.lit(base), _encoded(below, parts.scheme)))
    )


def _encoded(path: Column, scheme: str) -> Column:
    """A file's name is percent-encoded whole; a web link may be encoded already, so only its blanks are."""
    if scheme == "file":
        return F.replace(F.replace(F.url_encode(path), F.lit("%2F"), F.lit("/")), F.lit("+"), F.lit("%20"))
    if scheme in ("http", "https"):
        return F.replace(path, F.lit(" "), F.lit("%20"))
    return path
