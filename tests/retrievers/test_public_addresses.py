from ipaddress import ip_address

import pytest

from retrievers.public_addresses import is_public, literal


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "223.255.255.255", "2001:4860:4860::8888", "2606:4700::1111"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1", "169.254.169.254", "172.16.0.1",
        "172.31.255.255", "192.168.0.1", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "168.63.129.16", "192.88.99.1", "::", "::1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1",
        "100::1", "2001::1", "2001:db8::1", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
        "fec0::1", "ff02::1", "2a00:1450::200:5efe:808:808",
    ],
)  # fmt: skip
def test_others_are_not(address: str) -> None:
    assert not is_public(ip_address(address))


def test_a_host_is_a_name_or_an_address_in_full() -> None:
    assert literal("8.8.8.8") == ip_address("8.8.8.8")
    assert literal("2001:4860:4860::8888") == ip_address("2001:4860:4860::8888")
    assert literal("a-1.example_x.com") is None
    assert literal("1e100.net") is None


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "017700000001", "a.0x7f", "a.1", "a.", "a..b", "", "-a", "a b"]
)
def test_any_other_spelling_is_none(host: str) -> None:
    with pytest.raises(ValueError, match=r"host|address"):
        literal(host)
