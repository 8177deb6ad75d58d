"""Which addresses are on the public network, and how the host of an URL may be spelt.

The ranges are written out here: what the standard library calls global differs from version to version (IANA's special-purpose
registries, read 2026-11).
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address

_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' shared space, and a cloud's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # a public address that Azure answers on within its machines
            "169.254.0.0/16",  # link-local, and most clouds' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
#: All that is given out to hosts (RFC 4291, 2.5.4). Loopback, link-local, mapped, NAT64 and private addresses lie outside.
_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo, which carries IPv4, and other protocols' own
            "2001:db8::/32",
            "2002::/16",  # 6to4, which carries IPv4
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)
#: An interface identifier that carries IPv4 (ISATAP, RFC 5214).
_ISATAP = (0x00005EFE, 0x02005EFE)
#: Whose last label is a number is an IPv4 address to browsers and resolvers, in decimal, octal, hexadecimal, or too short.
_NUMERIC = re.compile(r"(?:^|\.)(?:0x[0-9a-f]*|[0-9]+)$", re.IGNORECASE)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.IGNORECASE)


def is_public(address: IPAddress) -> bool:
    """Whether an address is one of the public network's, and carries no other within."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    carries = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    return address in _UNICAST_6 and not carries and not any(address in network for network in _NOT_PUBLIC_6)


def literal(host: str) -> IPAddress | None:
    """The address that the host of a URL is; None for a name.

    Raises:
        ValueError: it is neither as it is written in full: an address with a zone, or in another notation; a name that ends
            with a dot, or holds what no name has.
    """
    if ":" in host or _NUMERIC.search(host):
        if "%" in host:
            raise ValueError("an address with a zone")
        return ip_address(host)
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise ValueError("no name of a host")
    return None
