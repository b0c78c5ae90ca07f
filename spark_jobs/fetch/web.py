"""One HTTP request: its answer, or the reason why there is none. Redirects are returned, never followed."""

import asyncio
import zlib

import aiohttp

from schemas.reasons import FetchReason, http_reason
from spark_jobs.fetch.addresses import AddressRefused, AddressRules, CheckedResolver
from spark_jobs.fetch.answers import Answer, Known
from spark_jobs.fetch.links import Link
from spark_jobs.fetch.settings import FetchSettings
from spark_jobs.fetch.waiting import retry_after_seconds

_REDIRECTS = (301, 302, 303, 307, 308)
_TIMED_OUT = 408  # the one 4xx besides 429 that says nothing of the photo
_BLOCK_BYTES = 1 << 16
_HEADER_MAX_BYTES = 1 << 16
"""Of one header: content security policies pass the client's 8 KiB."""
_INFLATED = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's window bits
_HEADERS = {"Accept": "image/jpeg,image/png,image/webp,image/*;q=0.8,*/*;q=0.5", "Accept-Encoding": "identity"}


class _TooLarge(Exception):
    """More bytes than the cap."""


class WebSource:
    """http and https through one session. Cookies and proxies of the environment are not used."""

    def __init__(self, settings: FetchSettings, rules: AddressRules) -> None:
        self._settings, self._rules = settings, rules
        connector = aiohttp.TCPConnector(limit=0, resolver=CheckedResolver(rules), ttl_dns_cache=300)
        timeout = aiohttp.ClientTimeout(
            total=settings.total_timeout_s, connect=settings.connect_timeout_s,
            sock_connect=settings.connect_timeout_s, sock_read=settings.read_timeout_s,
        )  # fmt: skip
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
            headers={**_HEADERS, "User-Agent": settings.user_agent}, read_bufsize=_BLOCK_BYTES * 4,
            max_field_size=_HEADER_MAX_BYTES,
        )  # fmt: skip

    async def ask(self, link: Link, known: Known) -> Answer:
        if link.is_address and not self._rules.permits(link.host):
            return Answer(reason=FetchReason.ADDRESS_REFUSED)
        try:
            async with self._session.get(link.url, headers=_conditions(known), allow_redirects=False) as response:
                return await self._read(response, known)
        except _TooLarge:
            return Answer(reason=FetchReason.TOO_LARGE, http_status=200)
        except (aiohttp.ClientError, TimeoutError, OSError, zlib.error, ValueError) as error:
            return Answer(reason=reason_of(error))

    async def close(self) -> None:
        await self._session.close()

    async def _read(self, response: aiohttp.ClientResponse, known: Known) -> Answer:
        status, headers = response.status, response.headers
        if status == 304 and known.content_sha256:
            return Answer(
                unchanged=True, http_status=status,
                etag=_validator(headers.get("ETag")), last_modified=_validator(headers.get("Last-Modified")),
            )  # fmt: skip
        if status in _REDIRECTS:
            return Answer(redirect_to=_as_text(headers.get("Location", "")), http_status=status)
        if status not in (200, 203):
            waits = retry_after_seconds(headers.get("Retry-After"), headers.get("Date"))
            reason = FetchReason.READ_TIMEOUT if status == _TIMED_OUT else http_reason(status)
            return Answer(reason=reason, http_status=status, retry_after_s=waits)
        data = await self._body(response)
        if not data:
            return Answer(reason=FetchReason.EMPTY, http_status=status)
        return Answer(
            data=data, http_status=status,
            etag=_validator(headers.get("ETag")), last_modified=_validator(headers.get("Last-Modified")),
        )  # fmt: skip

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """The body up to the cap, inflated (again up to the cap) where a server compresses unasked."""
        limit = self._settings.image_max_bytes
        if (response.content_length or 0) > limit:
            raise _TooLarge
        blocks, received = [], 0
        async for block in response.content.iter_any():
            received += len(block)
            if received > limit:
                raise _TooLarge
            blocks.append(block)
        body = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        return inflate(body, _INFLATED[coding], limit) if coding in _INFLATED else body


def inflate(body: bytes, window_bits: int, limit: int) -> bytes:
    """Undo gzip or deflate without ever holding more than the cap. Raises zlib.error where it breaks off."""
    inflater = zlib.decompressobj(window_bits)
    data = inflater.decompress(body, limit + 1)
    if len(data) > limit:
        raise _TooLarge
    if not inflater.eof:
        raise zlib.error("the compressed body breaks off")
    return data


def reason_of(error: BaseException) -> FetchReason:
    """The reason for what the client raised."""
    cause = getattr(error, "os_error", None)
    if isinstance(error, AddressRefused) or isinstance(cause, AddressRefused):
        return FetchReason.ADDRESS_REFUSED
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            if reason is FetchReason.TRUNCATED and isinstance(error.__cause__, ConnectionError):
                return FetchReason.RESET
            return reason
    return FetchReason.HTTP_OTHER


def _validator(header: str | None) -> str | None:
    """A validator as the ledger can hold it; one with strange bytes is none."""
    usable = header is not None and header.isascii() and header.isprintable() and len(header) <= 512
    return header if usable else None


def _as_text(header: str) -> str:
    """A header whose bytes above ASCII were escaped by the client, read as UTF-8."""
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _conditions(known: Known) -> dict[str, str]:
    if not known.content_sha256:
        return {}
    pairs = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in pairs.items() if value}


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], FetchReason], ...] = (
    (aiohttp.ClientConnectorDNSError, FetchReason.DNS),
    (aiohttp.ClientSSLError, FetchReason.TLS),
    (aiohttp.ConnectionTimeoutError, FetchReason.CONNECT_TIMEOUT),
    (aiohttp.SocketTimeoutError, FetchReason.READ_TIMEOUT),
    ((TimeoutError, asyncio.TimeoutError), FetchReason.TOTAL_TIMEOUT),
    (aiohttp.ClientConnectorError, FetchReason.CONNECT),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError), FetchReason.RESET),
    ((aiohttp.ClientPayloadError, zlib.error), FetchReason.TRUNCATED),
    (aiohttp.InvalidURL, FetchReason.BAD_URL),
    (OSError, FetchReason.RESET),
)
