"""What a download may cost, and how fast a host may be asked."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class FetchSettings:
    """The limits of one run. Those of a host hold across the whole job: partitions share them.

    `tries`: requests for one link within a run, redirects apart. A `Retry-After` above `retry_after_max_s` is left
    to a later run. `at_once` bounds one partition, whatever its hosts allow.
    """

    connect_timeout_s: float = 5.0
    read_timeout_s: float = 10.0
    total_timeout_s: float = 60.0
    image_max_bytes: int = 20_000_000
    max_redirects: int = 5
    tries: int = 3
    backoff_s: float = 0.5
    retry_after_max_s: float = 30.0
    at_once: int = 64
    host_at_once: int = 16
    host_per_second: float = 200.0
    allow_private: bool = False
    allowed_networks: tuple[Network, ...] = ()
    allowed_roots: tuple[Path, ...] = ()
    user_agent: str = "ShopLens/0.1 (product photo fetcher)"
