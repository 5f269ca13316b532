import ipaddress
import random

import pytest

from serve.fetch.address import is_public


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254", "64:ff9b::a00:1",
        "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "fc00::1", "fd00:ec2::254", "fe80::1",
        "fe80::1%eth0", "2606:4700::1111%1", "fec0::1", "ff02::1",
        "", "localhost", "2130706433", "0x7f.1", "127.1", "017700000001", "1.1.1.1/32", " 1.1.1.1",
    ],
)  # fmt: skip
def test_what_leads_inside_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4001:80b::2004"]
)
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


def test_private_networks_are_refused_in_every_spelling():
    """Random addresses of the private networks, plain and mapped into IPv6."""
    rng = random.Random(0)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10"):
        parsed = ipaddress.ip_network(network)
        for _ in range(50):
            address = parsed[rng.randrange(parsed.num_addresses)]
            wrapped = int(address)
            for spelling in (
                str(address), f"::ffff:{address}", str(ipaddress.IPv6Address(wrapped)),
                str(ipaddress.IPv6Address((0x64FF9B << 96) | wrapped)),
                str(ipaddress.IPv6Address((0x2002 << 112) | (wrapped << 80))),
            ):  # fmt: skip
                assert not is_public(spelling), spelling
