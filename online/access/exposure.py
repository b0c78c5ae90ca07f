"""The searcher is open to its own machine, and to others only with keys."""

import ipaddress
import socket
from collections.abc import Iterable, Sequence

from online.access.keys import HOW_TO_MAKE_ONE, ApiKey
from schemas.errors import Misconfigured


def is_loopback(address: str) -> bool:
    """Whether an address leads to this machine only; an empty one is the far end of a Unix socket, which does."""
    if not address:
        return True
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def refuse_open_doors(listeners: Iterable[socket.socket], keys: Sequence[ApiKey]) -> None:
    """Raises Misconfigured where a socket listens beyond loopback and there is no key."""
    refuse_addresses([_address_of(listener) for listener in listeners], keys)


def refuse_addresses(addresses: Iterable[str], keys: Sequence[ApiKey]) -> None:
    """As `refuse_open_doors`, for the addresses by themselves."""
    beyond = [address for address in addresses if not is_loopback(address)]
    if beyond and not keys:
        raise Misconfigured(f"will not listen on {beyond[0]} without an API key: {HOW_TO_MAKE_ONE}, or use 127.0.0.1")


def _address_of(listener: socket.socket) -> str:
    if listener.family == socket.AF_UNIX:
        return ""
    return str(listener.getsockname()[0])
