"""Links as catalogs write them, made into something that can be asked, or refused with a reason."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from yarl import URL

from schemas.reasons import FetchReason

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")
_BARE_HOST = re.compile(r"^[\w-]+(\.[\w-]+)*\.[a-zA-Z]{2,}(:\d+)?(/|$)")
_UNSENDABLE = re.compile(r"[^\x21-\x7e]|%(?![0-9a-fA-F]{2})|[\"<>\\^`{|}]")
_DOTS = re.compile(r"/\.\.?(/|$)")
_LINK_MAX_CHARS = 8192


class LinkRefused(ValueError):
    """A link that is not asked at all; `reason` is of schemas.reasons.FetchReason."""

    def __init__(self, reason: FetchReason, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


@dataclass(frozen=True)
class Link:
    """A link that can be asked. `host` is what limits are counted by: a name, `s3/<bucket>`, or `file`."""

    scheme: str
    host: str
    url: URL
    path: str

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address as such, which no resolver sees."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def parse_link(text: str) -> Link:
    """A catalog's link. Stray white space goes, `//host/…` and `host.tld/…` are https, `/…` is a file.

    Raises LinkRefused: bad_url, or scheme_refused.
    """
    cleaned = re.sub(r"[\t\r\n]", "", text.strip())
    if not cleaned or len(cleaned) > _LINK_MAX_CHARS:
        raise LinkRefused(FetchReason.BAD_URL, "empty or too long")
    if cleaned.startswith("//"):
        cleaned = f"https:{cleaned}"
    elif cleaned.startswith("/"):
        return Link("file", "file", URL(), cleaned)
    elif _BARE_HOST.match(cleaned):
        cleaned = f"https://{cleaned}"
    elif not _SCHEME.match(cleaned):
        raise LinkRefused(FetchReason.BAD_URL, "neither scheme nor host")
    scheme = cleaned.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return _web_link(scheme, cleaned)
    if scheme in ("s3", "s3a"):
        return _s3_link(cleaned)
    if scheme == "file":
        return _file_link(cleaned)
    raise LinkRefused(FetchReason.SCHEME_REFUSED, scheme)


def parse_redirect(base: Link, location: str) -> Link:
    """Where a web answer sends us: http(s) only, never from https back to http, and without credentials.

    Raises LinkRefused: redirect_invalid, or scheme_refused.
    """
    if not location.strip():
        raise LinkRefused(FetchReason.REDIRECT_INVALID, "no Location")
    try:
        target = base.url.join(_as_url(location.strip()))
        _ = target.port  # a number that is no port is found only here
    except (ValueError, UnicodeError) as error:
        raise LinkRefused(FetchReason.REDIRECT_INVALID, str(error)) from None
    if target.scheme not in ("http", "https") or (base.scheme == "https" and target.scheme == "http"):
        raise LinkRefused(FetchReason.SCHEME_REFUSED, f"{base.scheme} to {target.scheme}")
    if not target.raw_host:
        raise LinkRefused(FetchReason.REDIRECT_INVALID, "no host")
    return _from_url(target.with_user(None).with_fragment(None))


def host_of(text: str) -> str:
    """The host that a link's limits are counted by; empty for a link that is refused unasked."""
    try:
        return parse_link(text).host
    except LinkRefused:
        return ""


def _web_link(scheme: str, text: str) -> Link:
    try:
        url = _as_url(text).with_fragment(None)
        host, port = url.raw_host, url.port
    except (ValueError, UnicodeError) as error:
        raise LinkRefused(FetchReason.BAD_URL, str(error)) from None
    labels = (host or "").rstrip(".").split(".")
    sane = host and len(host) <= 253 and port and (":" in host or all(0 < len(label) <= 63 for label in labels))
    if not sane or re.search(r"[\s\\%]", host or ""):
        raise LinkRefused(FetchReason.BAD_URL, "no such host")
    return _from_url(url)


def _from_url(url: URL) -> Link:
    return Link(url.scheme, (url.raw_host or "").rstrip(".").lower(), url, url.raw_path)


def _as_url(text: str) -> URL:
    """As written where it can be sent so (a signature may cover it), else quoted."""
    if _UNSENDABLE.search(text):
        return URL(text)
    text = _without_dots(text)
    return URL(text, encoded=True) if _is_plain(text) else URL(text)


def _is_plain(text: str) -> bool:
    """Whether scheme and host need no normalising, so that the text may stand as it is."""
    parts = urlsplit(text)
    return parts.scheme == parts.scheme.lower() and parts.netloc == parts.netloc.lower() and parts.path != ""


def _without_dots(text: str) -> str:
    """Steps up and down are taken by who asks: sent as they stand, an object store looks for a key of that name."""
    parts = urlsplit(text)
    if not parts.netloc or not _DOTS.search(parts.path):
        return text
    return urljoin(text, urlunsplit(("", "", parts.path, parts.query, parts.fragment)))


def _s3_link(text: str) -> Link:
    parts = _split(text)
    if not parts.netloc or not parts.path.strip("/"):
        raise LinkRefused(FetchReason.BAD_URL, "no bucket or no key")
    return Link("s3", f"s3/{parts.netloc}", URL(), unquote(parts.path[1:]))


def _file_link(text: str) -> Link:
    parts = _split(text)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or "\0" in path:
        raise LinkRefused(FetchReason.BAD_URL, "no absolute path on this machine")
    return Link("file", "file", URL(), str(Path(path)))


def _split(text: str) -> SplitResult:
    """The parts of a link in which ? and # are signs like any other."""
    try:
        return urlsplit(text.replace("?", "%3F").replace("#", "%23"))
    except ValueError as error:  # half an IPv6 address for a bucket or host, or signs in it that stand for a /
        raise LinkRefused(FetchReason.BAD_URL, str(error)) from None
