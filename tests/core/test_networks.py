"""Networks that an address is looked up in."""

from ipaddress import ip_address, ip_network
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.networks import Network, Networks

HELD: tuple[Network, ...] = (
    *map(ip_network, ("10.0.0.0/8", "192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "fe80::1/128")),
)
_networks = st.sampled_from(HELD)


@given(st.ip_addresses() | _networks.map(lambda one: one.network_address) | _networks.map(lambda one: one[-1]))
def test_an_address_is_held_as_each_network_has_it(address: object) -> None:
    one = ip_address(str(address))
    assert Networks(HELD).hold(str(address)) is any(one in network for network in HELD)


@pytest.mark.parametrize("address", [None, "", "localhost", "10.0.0", "10.0.0.1/8"])
def test_what_is_no_address_is_held_by_none(address: str | None) -> None:
    assert not Networks(HELD).hold(address)


def test_the_whole_of_a_protocol_holds_none_of_the_other() -> None:
    for (network, own), (_, other) in product([("0.0.0.0/0", "127.0.0.1"), ("::/0", "::1")], repeat=2):
        assert Networks([ip_network(network)]).hold(other) is (own == other)


def test_none_hold_nothing() -> None:
    assert not Networks().hold("127.0.0.1")
