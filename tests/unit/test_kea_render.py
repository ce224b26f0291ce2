from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.desired.dhcp4 import Dhcp4Subnet, KeaDhcp4Config, Reservation
from agent.render.kea import classless_routes, render_kea_dhcp4

networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)
)
addresses = st.builds(IPv4Address, st.integers(0, 2**32 - 1))


@pytest.mark.rfc("3442", "examples")
@pytest.mark.parametrize(
    ("network", "descriptor"),
    [
        ("0.0.0.0/0", "00"),
        ("10.0.0.0/8", "080A"),
        ("10.0.0.0/24", "180A0000"),
        ("10.17.0.0/16", "100A11"),
        ("10.27.129.0/24", "180A1B81"),
        ("10.229.0.128/25", "190AE50080"),
        ("10.198.122.47/32", "200AC67A2F"),
    ],
)
def test_destination_descriptors_of_the_rfc(network: str, descriptor: str) -> None:
    assert classless_routes(((IPv4Network(network), IPv4Address("10.99.0.1")),)) == descriptor + "0A630001"


@given(st.lists(st.tuples(networks, addresses)))
def test_option_121_says_what_it_was_made_from(routes: list[tuple[IPv4Network, IPv4Address]]) -> None:
    data = bytes.fromhex(classless_routes(tuple(routes)))
    found = []
    while data:
        length, octets = data[0], (data[0] + 7) // 8
        network = IPv4Network((data[1 : 1 + octets].ljust(4, b"\0"), length))
        found.append((network, IPv4Address(data[1 + octets : 5 + octets])))
        data = data[5 + octets :]
    assert found == routes


def test_an_ingress_is_reserved_by_its_client_id_as_dhcpcd_sends_it() -> None:
    subnet = Dhcp4Subnet(
        7,
        "dmz",
        IPv4Network("10.99.0.0/24"),
        (IPv4Address("10.99.0.10"), IPv4Address("10.99.0.99")),
        600,
        reservations=(Reservation(IPv4Address("10.99.0.10"), client_id="kpn"),),
    )
    found = json.loads(render_kea_dhcp4(KeaDhcp4Config((subnet,))).text)["Dhcp4"]["subnet4"][0]
    assert found["reservations"] == [{"ip-address": "10.99.0.10", "client-id": "006B706E"}]  # 00, then "kpn"
    assert [option.get("name") for option in found["option-data"]] == []  # no option 3 above all
