"""The ISPs serve a plain dhcpcd: addresses, a delegated prefix that changes, a link that goes and comes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.internet import ask, serve_echo
from tests.lab.lab import Lab
from tests.lab.topology import INTERNET4, INTERNET6, KPN_NEXT_PREFIX, KPN_PREFIX
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
_DHCPCD = """nodev
persistent
duid
noarp
noipv6rs
allowinterfaces wan
script /bin/true
interface wan
  ipv6rs
  ia_na 1
{delegation}
"""


def _client(lab: Lab, name: str, delegation: str = "") -> None:
    node = lab.nodes[name]
    node.run(["mkdir", "-p", "/var/lib/router/dhcpcd"])
    node.path("/run/dhcpcd.conf").write_text(_DHCPCD.format(delegation=delegation))
    node.spawn(["dhcpcd", "-B", "-f", "/run/dhcpcd.conf"], "dhcpcd")


def _delegated(lab: Lab) -> list[str]:
    lines = lab.nodes["kpn"].output(["ip", "-6", "route", "show", "type", "unreachable"]).splitlines()
    return [line.split()[1] for line in lines]


def _wait_delegated(lab: Lab, *prefixes: str) -> None:
    wait_for(lambda: _delegated(lab) == list(prefixes), 10, lambda: f"{prefixes}: {lab.nodes['kpn'].log('dhcpcd')}")


@pytest.fixture
def kpn() -> Iterator[Lab]:
    with Lab(nodes=["kpn", "kpn-isp", "internet"]) as lab:
        lab.start_isps()
        _client(lab, "kpn", "  ia_pd 2/::/48 -")
        _wait_delegated(lab, KPN_PREFIX)
        yield lab


def test_kpn_gives_addresses_and_delegates_a_prefix_that_is_routed(kpn: Lab) -> None:
    node = kpn.nodes["kpn"]
    wait_for(lambda: node.addresses("wan", 4) and node.addresses("wan", 6), 10)
    assert node.addresses("wan", 4)[0].startswith("192.0.2.1")
    wait_for(lambda: ask(node, "udp", INTERNET6, timeout=0.2), 10, "IPv6 over kpn")
    assert ask(node, "udp", INTERNET4) == node.addresses("wan", 4)[0]
    assert ask(node, "tcp", INTERNET6) == node.addresses("wan", 6)[0]
    assert kpn.internet.sources("udp") == {node.addresses("wan", family)[0] for family in (4, 6)}
    # A host behind the delegated prefix is reached from the internet.
    node.ip("addr add 2001:db8:a100:10::5/64 dev dmz nodad")
    serve_echo(node, "443/tcp")
    assert ask(kpn.nodes["internet"], "tcp", "2001:db8:a100:10::5", 443) == INTERNET6


def test_another_prefix_comes_within_the_renewal_time(kpn: Lab) -> None:
    started = time.monotonic()
    kpn.isp["kpn"].delegate(KPN_NEXT_PREFIX)
    _wait_delegated(kpn, KPN_NEXT_PREFIX)
    assert time.monotonic() - started < 4
    routes = kpn.nodes["kpn-isp"].output(["ip", "-6", "route"])
    assert f"{KPN_NEXT_PREFIX} via " in routes
    assert f"{KPN_PREFIX} via " not in routes


def test_a_prefix_is_withdrawn_and_comes_back_shorter_or_longer(kpn: Lab) -> None:
    kpn.isp["kpn"].withdraw()
    _wait_delegated(kpn)
    kpn.isp["kpn"].delegate("2001:db8:a300::/60")
    _wait_delegated(kpn, "2001:db8:a300::/60")


def test_a_link_that_is_down_has_no_carrier_and_serves_again_when_up(kpn: Lab) -> None:
    node = kpn.nodes["kpn"]
    wait_for(lambda: ask(node, "udp", INTERNET4, timeout=0.2), 10, "IPv4 over kpn")
    kpn.isp["kpn"].link_down()
    wait_for(lambda: "NO-CARRIER" in node.output(["ip", "link", "show", "dev", "wan"]), 2)
    assert ask(node, "udp", INTERNET4, timeout=0.2) is None
    kpn.isp["kpn"].link_up()
    wait_for(lambda: ask(node, "udp", INTERNET4, timeout=0.2), 15, "IPv4 over kpn again")
    wait_for(lambda: ask(node, "udp", INTERNET6, timeout=0.2), 15, "IPv6 over kpn again")
    _wait_delegated(kpn, KPN_PREFIX)


def test_odido_gives_an_address_of_each_family_and_no_prefix_and_ipv6_can_end() -> None:
    with Lab(nodes=["odido", "odido-isp", "internet"]) as lab:
        lab.start_isps()
        _client(lab, "odido", "  ia_pd 2/::/48 -")
        node = lab.nodes["odido"]
        wait_for(lambda: ask(node, "udp", INTERNET6, timeout=0.2), 15, "IPv6 over odido")
        wait_for(lambda: ask(node, "udp", INTERNET4, timeout=0.2), 15, "IPv4 over odido")
        assert node.addresses("wan", 6)[0].startswith("2001:db8:b::1")
        assert not node.output(["ip", "-6", "route", "show", "type", "unreachable"])
        lab.isp["odido"].ipv6_off()
        wait_for(lambda: not node.output(["ip", "-6", "route", "show", "default"]), 10, "no default route")
        lab.isp["odido"].ipv6_on()
        wait_for(lambda: ask(node, "udp", INTERNET6, timeout=0.2), 20, lambda: f"IPv6: {node.log('dhcpcd')}")
