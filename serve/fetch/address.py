"""Which network addresses a service may be sent to."""

import ipaddress

__all__ = ["is_public"]

# Global by IANA's registry, yet they lead inside: IPv4 wrapped in IPv6 (NAT64, 6to4, Teredo, IPv4-compatible), the 6to4
# relay, addresses of sites that were never given back, and the metadata services of two clouds.
_WRAPPED = tuple(
    map(
        ipaddress.ip_network,
        ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/23", "::/96", "fec0::/10", "192.88.99.0/24",
         "192.0.0.0/24",
         "168.63.129.16/32"),
    )
)  # fmt: skip


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet's, reached by nobody on the way in.

    Loopback, private, link-local (where clouds keep their credentials), carrier-grade NAT, multicast, reserved and
    documentation addresses are not; nor is any IPv6 address that wraps an IPv4 address.

    Args:
        address: an IPv4 or IPv6 address; anything else is not public.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if parsed.version == 6 and (parsed.ipv4_mapped or parsed.scope_id):
        return False
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified:
        return False
    return not any(parsed in network for network in _WRAPPED if network.version == parsed.version)
