from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.base import MendError
from agent.config.dhcp_options import encode_routes, labels, parse_option
from tests.unit.config.kit import config, expect, settings
from tests.unit.test_config_networks import networks

HOME = "home: {{ ipv4: 10.10.0.0/24, subnet: 0x10, dhcp4: {{ pool: {pool}, options: {{ {options} }} }} }} # here"


@pytest.mark.parametrize(
    ("name", "value", "code", "data"),
    [
        ("ntp-servers", "10.0.0.1", 42, "0a000001"),
        ("42", ["10.0.0.1", "10.0.0.2"], 42, "0a0000010a000002"),
        ("routers", "10.10.0.254", 3, "0a0a00fe"),
        ("interface-mtu", 1492, 26, "05d4"),
        ("netbios-node-type", 8, 46, "08"),
        ("domain-search", ["lan.example", "home.arpa"], 119, (labels("lan.example") + labels("home.arpa")).hex()),
        ("boot-file-name", "pxe/a.0", 67, b"pxe/a.0".hex()),
        ("classless-static-routes", ["10.0.0.0/8 via 10.1.1.1"], 121, "080a0a010101"),
        ("vendor-encapsulated-options", "01:04:c0a80001", 43, "0104c0a80001"),
        ("224", "hex:C0FFEE", 224, "c0ffee"),
        ("225", "text: a b", 225, b"a b".hex()),
        ("226", "uint8:7", 226, "07"),
        ("227", "uint16:258", 227, "0102"),
        ("228", "uint32:1", 228, "00000001"),
        ("229", "ipv4: 10.0.0.1, 10.0.0.2", 229, "0a0000010a000002"),
    ],
)
def test_an_option_is_the_bytes_of_its_rfc(name: str, value: object, code: int, data: str) -> None:
    option = parse_option(name, value)
    assert (option.code, option.data.hex()) == (code, data)


@pytest.mark.parametrize(
    ("options", "key", "message", "mend"),
    [
        ("ntp-server: 10.0.0.1", "ntp-server", "there is no option `ntp-server`", "write `ntp-servers`"),
        ("42: here", "42", "`here` is not an IPv4 address", "four numbers"),
        ("255: hex:00", "255", "255 is no option", "write a number from 1 to 254"),
        ("51: uint32:60", "51", "option 51 is the server's own", "delete it"),
        ("224: c0ffee", "224", "does not say what option 224 is made of", "text:, hex:, uint8:"),
        ("224: hex:c0f", "224", "is not hexadecimal", "pairs of hex digits"),
        ("224: 'text:'", "224", "has 0 bytes", "write 1 to 255 bytes"),
        ("interface-mtu: 70000", "interface-mtu", "`70000` is not a number of 2 bytes", "write 0 to 65535"),
        ("interface-mtu: true", "interface-mtu", "true is not a number", "write 0 to 65535"),
        ("121: 10.0.0.0/8", "121", "`10.0.0.0/8` is not a route", "10.50.0.0/16 via 10.10.0.7"),
        ("domain-search: a..b", "domain-search", "is not a domain", "home.arpa"),
        ("ntp-servers: 10.0.0.1, 42: 10.0.0.2", "42", "option 42 is there already, as `ntp-servers`", "delete one"),
    ],
)
def test_a_bad_option_is_said_with_its_line(options: str, key: str, message: str, mend: str) -> None:
    line = HOME.format(pool="10.10.0.100-10.10.0.199", options=options)
    text = config(hosts="", networks=networks(line))
    expect(text, f"networks.home.dhcp4.options.{key}", message, mend)


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ("[]", "an empty list of pools"),
        ("[10.10.0.9-10.10.0.20, 10.10.0.20-10.10.0.30]", "overlap"),
        ("[10.10.0.9-10.10.0.20, 10.11.0.1-10.11.0.2]", "is not inside 10.10.0.0/24"),
    ],
)
def test_a_list_of_pools_is_checked(pool: str, message: str) -> None:
    text = config(hosts="", networks=networks(HOME.format(pool=pool, options="")))
    expect(text, "networks.home.dhcp4.pool", message, "")


def test_pools_and_options_are_read() -> None:
    line = HOME.format(pool="[10.10.0.9-10.10.0.20, 10.10.0.30-10.10.0.40]", options="ntp-servers: 10.10.0.1")
    found = settings(hosts="", networks=networks(line)).networks["home"].dhcp4
    assert found is not None
    assert [str(pool) for pool in found.pool] == ["10.10.0.9-10.10.0.20", "10.10.0.30-10.10.0.40"]
    assert dict(found.options) == {"ntp-servers": "10.10.0.1"}


_networks = st.builds(lambda a, n: IPv4Network((a, n), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32))
_routes = st.lists(st.tuples(_networks, st.builds(IPv4Address, st.integers(0, 2**32 - 1))), max_size=20)


@given(_routes)
def test_routes_as_text_are_the_bytes_of_the_routes(routes: list[tuple[IPv4Network, IPv4Address]]) -> None:
    data = encode_routes(routes)
    texts = [f"{network} via {router}" for network, router in routes]
    if 1 <= len(data) <= 255:
        assert parse_option("121", texts).data == data
    else:
        with pytest.raises(MendError, match="bytes"):
            parse_option("121", texts)


@given(st.text(max_size=8), st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.lists(st.text())))
def test_anything_at_all_is_an_option_or_a_mend(name: str, value: object) -> None:
    with suppress(MendError):
        assert 1 <= len(parse_option(name, value).data) <= 255
