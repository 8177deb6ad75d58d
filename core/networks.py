"""Networks that an address is looked up in at each request."""

from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


class Networks(tuple[Network, ...]):
    """A hundred of them are asked as soon as one: an address is cut to each length that they have, and looked up."""

    @cached_property
    def _by_mask(self) -> dict[tuple[int, int], set[int]]:
        """By version and mask: the networks' own addresses, as numbers."""
        found: dict[tuple[int, int], set[int]] = {}
        for network in self:
            found.setdefault((network.version, int(network.netmask)), set()).add(int(network.network_address))
        return found

    def hold(self, address: str | None) -> bool:
        """Whether the address is of one of them. What is no address is of none."""
        place = _read(address or "")
        if place is None:
            return False
        version, number = place.version, int(place)
        return any(each == version and number & mask in starts for (each, mask), starts in self._by_mask.items())


@lru_cache(maxsize=4096)
def _read(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None
