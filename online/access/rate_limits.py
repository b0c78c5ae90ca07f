"""How often one caller may ask: by key, or by address where there is no key; counted across all workers.

Counters are in Redis where one is configured, else in a file that the host's workers share. A store that fails lets
everybody through: shoppers who are not counted are better than shoppers who are not served.
"""

import ipaddress
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, g, request
from limits import RateLimitItem, parse_many
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import FixedWindowRateLimiter

from online.access.admission import SCOPES
from online.access.host_counters import HostCounters
from online.access.keys import Scope
from online.access.limit_settings import RATE_LIMIT, REDIS_URL, LimitSettings
from online.api.problems import TOO_MANY_REQUESTS, ProblemRaised
from online.telemetry.logs import log
from schemas.errors import Misconfigured

LIMITED_SCOPES = (Scope.SEARCH, Scope.CLICK)
REDIS_TIMEOUT_S = 0.2
PAUSE_AFTER_FAILURE_S = 5.0
COUNT_MAX = 1_000_000_000
WINDOW_MAX_S = 366 * 86_400


@dataclass(frozen=True)
class Allowance:
    """Where a caller stands in the window that is nearest to its end: counts, and whole seconds."""

    admitted: bool
    limit: int
    window_s: int
    remaining: int
    reset_s: int

    @property
    def headers(self) -> dict[str, str]:
        """As the IETF's draft-ietf-httpapi-ratelimit-headers names them."""
        policy = f'"{self.window_s}s"'
        sent = {
            "RateLimit-Policy": f"{policy};q={self.limit};w={self.window_s}",
            "RateLimit": f"{policy};r={self.remaining};t={self.reset_s}",
        }
        return sent if self.admitted else {**sent, "Retry-After": str(max(1, self.reset_s))}


class RateLimits:
    """`on_failure` is called for each request that could not be counted."""

    def __init__(
        self,
        items: Sequence[RateLimitItem],
        storage: Storage,
        on_failure: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._items, self._limiter = tuple(items), FixedWindowRateLimiter(storage)
        self._on_failure, self._clock = on_failure, clock
        self._paused_until = -math.inf

    def count(self, scope: str, caller: str) -> Allowance | None:
        """Count one request; None where there is no limit, or no store to count in."""
        if not self._items:
            return None
        if self._clock() < self._paused_until:
            self._on_failure()
            return None
        try:
            allowances = [self._hit(item, scope, caller) for item in self._items]
        except StorageError as error:
            self._paused_until = self._clock() + PAUSE_AFTER_FAILURE_S
            self._on_failure()
            log.error("rate_limits_not_counted", error=str(error.storage_error), next_try_in_s=PAUSE_AFTER_FAILURE_S)
            return None
        refused = [each for each in allowances if not each.admitted]
        if refused:
            return max(refused, key=lambda each: each.reset_s)
        return min(allowances, key=lambda each: each.remaining / each.limit)

    def _hit(self, item: RateLimitItem, scope: str, caller: str) -> Allowance:
        admitted = self._limiter.hit(item, scope, caller)
        reset_at, remaining = self._limiter.get_window_stats(item, scope, caller)
        reset_s = max(0, math.ceil(reset_at - time.time()))
        return Allowance(admitted, item.amount, item.get_expiry(), remaining if admitted else 0, reset_s)


def open_rate_limits(settings: LimitSettings, shared_folder: Path | None, on_failure: Callable[[], None]) -> RateLimits:
    """`shared_folder` is one that the workers of this host share; without it each counts for itself.

    Raises Misconfigured where a limit or a store is written wrongly. A Redis that is away is no error.
    """
    return RateLimits(_items(settings), _open_storage(settings, shared_folder), on_failure)


def refuse_wrong_limits(settings: LimitSettings) -> None:
    """Raises Misconfigured as `open_rate_limits` does, before there are workers to fail one by one."""
    _items(settings)
    if settings.redis_url:
        _open_redis(settings)


def limit_requests(app: Flask, limits: RateLimits) -> None:
    """Refuse who asks too often, before the body is read. Call it after `admit_requests`."""

    @app.before_request
    def limit() -> None:
        scope = SCOPES.get(request.endpoint or "")
        if scope not in LIMITED_SCOPES or request.method == "OPTIONS":
            return
        allowance = limits.count(scope, _caller())
        if allowance is None:
            return
        g.rate_limit_headers = allowance.headers
        if not allowance.admitted:
            detail = f"more than {allowance.limit} in {allowance.window_s} s: try again in {allowance.reset_s} s"
            raise ProblemRaised(TOO_MANY_REQUESTS, detail)

    @app.after_request
    def tell(answer: Response) -> Response:
        answer.headers.update(g.get("rate_limit_headers", {}))
        return answer


def _items(settings: LimitSettings) -> list[RateLimitItem]:
    try:
        items = parse_many(settings.rate_limit) if settings.rate_limit else []
    except ValueError:
        items = None
    if items is None or not all(_can_be_counted(item) for item in items):
        raise Misconfigured(f"{RATE_LIMIT} is {settings.rate_limit!r}: write it like 20/second; 600/minute")
    return items


def _can_be_counted(item: RateLimitItem) -> bool:
    """A window of no length limits nobody, and what no counter holds fails with every request."""
    return 1 <= item.amount <= COUNT_MAX and 1 <= item.get_expiry() <= WINDOW_MAX_S


def _open_storage(settings: LimitSettings, shared_folder: Path | None) -> Storage:
    if settings.redis_url:
        return _open_redis(settings)
    return MemoryStorage() if shared_folder is None else HostCounters(shared_folder)


def _open_redis(settings: LimitSettings) -> Storage:
    try:
        return RedisStorage(
            settings.redis_url,
            key_prefix="shoplens",
            wrap_exceptions=True,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            socket_timeout=REDIS_TIMEOUT_S,
        )
    except (ConfigurationError, ValueError) as error:
        raise Misconfigured(f"{REDIS_URL}: {error}: write it like redis://host:6379/0") from None


def _caller() -> str:
    return f"key {g.key.key_id}" if g.key else f"address {network_of(request.remote_addr or '')}"


def network_of(address: str) -> str:
    """An IPv6 subscriber has a whole /64 to ask from, so that counts as one caller."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
