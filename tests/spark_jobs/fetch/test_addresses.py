import asyncio
import ipaddress
import socket

import pytest

from spark_jobs.fetch.addresses import AddressRefused, AddressRules, CheckedResolver

INSIDE = (
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd00::1",
    "::ffff:127.0.0.1", "64:ff9b::a01:203", "2002:7f00:1::",
)  # fmt: skip
NEVER = (
    "169.254.169.254", "fe80::1", "fe80::1%eth0", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "240.0.0.1",
    "255.255.255.255", "fec0::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "not an address",
)  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_inside_addresses_pass_only_where_the_configuration_allows_them(address: str) -> None:
    assert not AddressRules().permits(address)
    assert AddressRules(allow_private=True).permits(address)


@pytest.mark.parametrize("address", NEVER)
def test_link_local_and_special_addresses_pass_neither_way(address: str) -> None:
    assert not AddressRules().permits(address)
    assert not AddressRules(allow_private=True).permits(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34"])
def test_public_addresses_pass(address: str) -> None:
    assert AddressRules().permits(address)


def test_a_named_network_passes_and_nothing_beside_it() -> None:
    rules = AddressRules(allowed_networks=[ipaddress.ip_network("10.1.0.0/16")])
    assert rules.permits("10.1.2.3")
    assert not rules.permits("10.2.2.3")


def test_a_name_that_leads_inside_is_refused_before_any_connection() -> None:
    with pytest.raises(AddressRefused):
        asyncio.run(CheckedResolver(AddressRules()).resolve("localhost", 80))


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    found = asyncio.run(CheckedResolver(AddressRules(allow_private=True)).resolve("localhost", 80))
    assert {entry["host"] for entry in found} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("spelling", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1"])
def test_odd_spellings_of_loopback_are_resolved_and_refused(spelling: str) -> None:
    with pytest.raises((AddressRefused, socket.gaierror)):  # refused, or not understood: never asked
        asyncio.run(CheckedResolver(AddressRules()).resolve(spelling, 80))
