"""kpn-demo.yaml as it stands: PPPoE between unprivileged containers, a VLAN trunk, the reference configuration."""

from __future__ import annotations

import re
import time

from tests.engine.images import ROOT
from tests.lab.wait import wait_for
from tests.vm.guest.containers.demo import Demo, Wire

CONFIG = "/etc/router/router.yaml"
STOP_SECONDS = 10
# Put on the device itself, past routing and every chain of `inet`: an IPv4 packet with an internal source.
STRAY = """
import socket
packet = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
header = bytes.fromhex("4500001400000000401100000a0a0005cb007107")
try:
    packet.sendto(header, ("wan", 0x0800))
except OSError:
    pass
"""


def stopped(demo: Demo, service: str = "ingress-kpn") -> int:
    """Packets that the egress guard has stopped."""
    found = re.search(r"guard +(\d+) packets", demo.status(service))
    assert found, demo.status(service)
    return int(found[1])


def happened(demo: Demo, service: str, since: float) -> list[tuple[float, str]]:
    """What the engine did to a container since then: time and action, in order."""
    window = ("--since", f"{since:.3f}", "--until", f"{time.time():.3f}", "--filter", "type=container")
    form = ("--filter", f"container={demo.container(service)}", "--format", "{{.TimeNano}} {{.Action}}")
    lines = demo.engine.docker("events", *window, *form).splitlines()
    return [(int(line.split()[0]) / 1e9, line.split()[1]) for line in lines]


def test_client_browses_the_internet_by_both_families(kpn: Demo, line: Wire) -> None:
    client = kpn.process("client")
    assert kpn.seen(client, 4).startswith("192.0.2.1")
    # The host's bits are kept: 1:1, not NAT66.
    assert kpn.seen(client, 6) == "2001:db8:a100:10:0:ff:fe00:1064"
    line.wait("vlan 6 and pppoes and ip6 host 2001:db8:f::7", "2001:db8:a100:10:0:ff:fe00:1064")


def test_configuration_is_the_reference_and_the_routers_are_well(kpn: Demo) -> None:
    for service, word in (("ingress-kpn", "2001:db8:a100::/48 delegated"), ("firewall", "home        IPv4 kpn (best)")):
        assert kpn.run(service, "cat", CONFIG) == (ROOT / "compose/router-home.yaml").read_text()
        kpn.run(service, "routerctl", "health")
        status = kpn.status(service)
        assert "all work" in status
        assert word in status


def test_client_resolves_names_by_the_forwarders_of_the_reference(kpn: Demo) -> None:
    def answer() -> str:
        return kpn.run("client", "sh", "-c", "getent ahosts www.example; getent ahosts nas.home.arpa; true")

    wanted = ("203.0.113.7", "2001:db8:f::7", "10.10.0.5")
    wait_for(lambda: all(address in answer() for address in wanted), 90, answer)


def test_flows_over_ppp_and_vlan_devices_are_offloaded(kpn: Demo) -> None:
    table = kpn.run("ingress-kpn", "nft", "list", "flowtable", "inet", "router", "fast")
    assert {"dmz", "wan"} <= set(re.findall(r"\w+", table.partition("devices")[2]))


def test_nothing_internal_came_as_far_as_the_uplink(kpn: Demo, line: Wire) -> None:
    inside = "ip net 10.0.0.0/8 or ip6 net fc00::/7"
    assert stopped(kpn) == 0
    assert line.text(f"vlan and pppoes and ({inside})") == ""
    # The same eyes see it when there is something to be seen.
    kpn.run("ingress-kpn", "/usr/bin/python3", "-c", STRAY)
    assert stopped(kpn) == 1
    assert line.text(f"vlan and pppoes and ({inside})") == ""


def test_container_stops_in_time_says_good_bye_and_releases_nothing(kpn: Demo, line: Wire) -> None:
    started = time.time()
    kpn.compose("stop", "ingress-kpn")
    told = happened(kpn, "ingress-kpn", started)
    # SIGTERM and the end of process 1, by the engine's clock: compose itself takes longer here.
    assert sorted(action for _, action in told) == ["die", "kill", "stop"], "one signal was enough"
    assert max(told)[0] - min(told)[0] < STOP_SECONDS
    assert kpn.inspect("ingress-kpn", "{{.State.ExitCode}}") == "0"
    line.wait("vlan 6 and pppoed", "PADT")
    line.wait("vlan 6 and pppoes", "Term-Request", "-v")
    assert "dhcp6 release" not in line.text("vlan 6 and pppoes", "-v")
    assert "RELEASE" not in kpn.logs("isp-kpn")
