"""Which addresses may be asked: public ones, unless the configuration says more.

A name is resolved once; the connection goes to the addresses that were checked, so a second answer cannot differ.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from aiohttp.abc import AbstractResolver, ResolveResult

from spark_jobs.fetch.settings import Network

Address = IPv4Address | IPv6Address

_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")


class AddressRefused(OSError):
    """A host has no address that may be asked."""


class AddressRules:
    """Public addresses pass; loopback and private ones where `allow_private`; any in `allowed_networks`.

    Link-local (cloud metadata lives there), multicast, reserved and unspecified addresses pass only as a named network.
    """

    def __init__(self, *, allow_private: bool = False, allowed_networks: Sequence[Network] = ()) -> None:
        self._networks = (*allowed_networks, *(_PRIVATE if allow_private else ()))

    def permits(self, text: str) -> bool:
        """Whether an address, as text, may be asked; IPv4 within IPv6 is judged as what it is."""
        try:
            address = _unwrapped(ipaddress.ip_address(text.partition("%")[0]))
        except ValueError:
            return False
        if any(address in network for network in self._networks if network.version == address.version):
            return True
        site_local = isinstance(address, IPv6Address) and address.is_site_local
        return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one carries (mapped, NAT64, 6to4), else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _SIX_TO_FOUR:
            return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return address


class CheckedResolver(AbstractResolver):
    """Resolves with the system's resolver and drops what the rules do not permit. Raises AddressRefused if none is left."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        permitted = [
            ResolveResult(
                hostname=host, host=str(sockaddr[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, sockaddr in found
            if self._rules.permits(str(sockaddr[0]))
        ]
        if not permitted:
            raise AddressRefused(f"{host} has no address that may be asked")
        return permitted

    async def close(self) -> None:
        """Nothing is held."""
