"""The ISP emulator by itself, with a client made by hand: what fails here is no fault of the router."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.wait import wait_for
from tests.vm.network import Network
from tests.vm.topology import ADDRESS, PREFIX

PEER = """plugin pppoe.so
nic-uplink.6
ifname wan
user internet
password kpn-secret
noauth
noipdefault
+ipv6
mtu 1492
mru 1492
nodetach
debug
logfile /run/log/ppp
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network("isp", "kpn", "internet") as network:
        network.provider.start()
        yield network


def test_pppoe_session_comes_up_by_chap_on_the_vlan(network: Network) -> None:
    kpn = network.nodes["kpn"]
    network.wire.start()
    kpn.ip("link add link uplink name uplink.6 type vlan id 6", "link set uplink.6 up")
    kpn.path("/run/peer").write_text(PEER)
    kpn.spawn(["pppd", "file", "/run/peer"], "pppd")
    wait_for(lambda: ADDRESS in network.wan_addresses(4), 20, lambda: kpn.log("ppp") + network.provider.log())
    assert "CHAP authentication succeeded" in kpn.log("ppp")
    assert "vlan 6" in network.wire.stop()


def test_pppoe_isp_delegates_a_prefix_over_the_session(network: Network) -> None:
    kpn = network.nodes["kpn"]
    kpn.path("/run/dhcpcd.conf").write_text(
        "duid\nnodev\npersistent\nallowinterfaces wan\nnoipv6rs\ninterface wan\nipv6only\nipv6rs\nia_pd 2/::/48 -\n"
    )
    kpn.run(["mkdir", "-p", "/run/dhcpcd", "/var/lib/router/dhcpcd"])
    kpn.spawn(["dhcpcd", "-B", "-d", "-f", "/run/dhcpcd.conf"], "dhcpcd")

    def delegated() -> bool:
        return PREFIX in kpn.output(["ip", "-6", "route", "show", "type", "unreachable"])

    def logs() -> str:
        return kpn.log("dhcpcd") + network.provider.log("ipv6-up") + network.provider.log("kea-ppp0")

    wait_for(delegated, 40, logs)
    assert "default via fe80::1 dev wan" in kpn.output(["ip", "-6", "route"])
