"""Photos by link, for operators who allow it: from the sites that they name, checked again at every redirect.

A link is fetched by the searcher, which may reach what its caller may not. So none is followed unless its scheme, host
and port are those of a site that the operator has named, whichever site sent us there.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

import urllib3
from urllib3.util import parse_url

from online.access.cross_origin import is_origin
from online.api.problems import IMAGE_UNREACHABLE, INVALID_FIELDS, ProblemRaised
from schemas.api.answers import FieldError
from schemas.errors import Misconfigured

ORIGINS = "SHOPLENS_IMAGE_URL_ORIGINS"
FIELD = "image_url"
HOPS_MAX = 4
"""A link, and so many less one redirects."""

DEADLINE_S = 5.0
SILENCE_MAX_S = 2.0
"""Without an answer, or without another byte of it."""

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_BLOCK_BYTES = 1 << 16

Origin = tuple[str, str, int]


@dataclass(frozen=True)
class ImageLinks:
    """`origins` are scheme, host and port of each site that photos may come from; without any there are no links."""

    origins: frozenset[Origin] = frozenset()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ImageLinks":
        """Raises Misconfigured with the variable to set."""
        named = environ.get(ORIGINS, "").replace(",", " ").split()
        origins = [_origin_of(origin) if is_origin(origin) else None for origin in named]
        if None in origins:
            wrong = named[origins.index(None)]
            raise Misconfigured(f"{ORIGINS}: {wrong!r} is no origin: write it like https://photos.shop.example")
        return cls(frozenset(origin for origin in origins if origin is not None))

    def __bool__(self) -> bool:
        return bool(self.origins)

    def fetch(self, link: str, max_bytes: int) -> bytes:
        """What the link leads to. Raises ProblemRaised: invalid-fields where it, or a redirect, leads elsewhere;
        image-unreachable where nothing, or more than `max_bytes`, comes."""
        gives_up_at = time.monotonic() + DEADLINE_S
        with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(SILENCE_MAX_S, SILENCE_MAX_S)) as pool:
            for _ in range(HOPS_MAX):
                self._refuse_elsewhere(link)
                _refuse_late(gives_up_at)
                try:
                    answer = pool.request(
                        "GET", link, redirect=False, preload_content=False, decode_content=False,
                        headers={"User-Agent": "ShopLens", "Accept": "image/*", "Accept-Encoding": "identity"},
                    )  # fmt: skip
                    if answer.status not in _REDIRECTS:
                        return _read(answer, max_bytes, gives_up_at)
                except (urllib3.exceptions.HTTPError, OSError, ValueError):
                    raise _unreachable("its host did not answer, or not in time") from None
                link = _next_link(link, answer.headers.get("Location", ""))
                answer.close()
        raise _unreachable(f"it leads on more than {HOPS_MAX - 1} times")

    def _refuse_elsewhere(self, link: str) -> None:
        if _origin_of(link) not in self.origins:
            message = "leads to a site that photos are not taken from; the operator names those that they are"
            raise ProblemRaised(INVALID_FIELDS, f"{FIELD}: {message}", [FieldError(field=FIELD, message=message)])


def _origin_of(link: str) -> Origin | None:
    """As the library that asks reads it; None where it has none, or carries a name and password."""
    try:
        read = parse_url(link)
    except urllib3.exceptions.LocationParseError:
        return None
    if read.scheme not in _PORTS or not read.host or read.auth is not None:
        return None
    return read.scheme, read.host, read.port or _PORTS[read.scheme]


def _next_link(link: str, location: str) -> str:
    try:
        return urljoin(link, location)
    except ValueError:
        raise _unreachable("its host sends on to what is no link") from None


def _read(answer: urllib3.BaseHTTPResponse, max_bytes: int, gives_up_at: float) -> bytes:
    if answer.status != 200:
        raise _unreachable(f"its host answered {answer.status}")
    read = bytearray()
    while block := answer.read1(_BLOCK_BYTES):  # what is there: a host that drips fills no block in time
        read += block
        if len(read) > max_bytes:
            raise _unreachable(f"there are more than {max_bytes} bytes")
        _refuse_late(gives_up_at)
    return bytes(read)


def _refuse_late(gives_up_at: float) -> None:
    if time.monotonic() > gives_up_at:
        raise _unreachable(f"it takes longer than {DEADLINE_S:.0f} s")


def _unreachable(message: str) -> ProblemRaised:
    return ProblemRaised(IMAGE_UNREACHABLE, f"{FIELD}: {message}", [FieldError(field=FIELD, message=message)])
