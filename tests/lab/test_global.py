"""Global addressing on a real kernel: prefixes of two uplinks on the hosts, each packet by the uplink of its source."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6ND_RS, IPv6
from scapy.packet import Raw

from tests.lab.capture import Capture, Packet
from tests.lab.dhcp_client import Client
from tests.lab.global_world import (
    GUEST,
    HOME,
    IOT,
    KPN,
    KPN_NEXT,
    ODIDO,
    ODIDO_SMALL,
    SITE,
    Advertisement,
    GlobalWorld,
    PrefixOption,
    advertised,
    advertisement,
    ask_from,
    held,
)
from tests.lab.internet import ask
from tests.lab.node import Node
from tests.lab.topology import INTERNET6, mac
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
UNREACHABLE, INGRESS_POLICY = 1, 5
ROUTED = IPv6Network("fd4b:9ca2:1d70:10::/64")


@pytest.fixture(scope="module")
def running() -> Iterator[GlobalWorld]:
    with GlobalWorld() as world:
        yield world


@pytest.fixture
def world(running: GlobalWorld) -> GlobalWorld:
    running.settled()
    return running


def udp(packet: Packet) -> bool:
    return packet.protocol == "udp" and ":" in packet.source


def error(packet: Packet) -> bool:
    return packet.protocol == "icmp6" and packet.kind == UNREACHABLE


def send(node: Node, interface: str, packet: IPv6, to: str) -> None:
    """Send a packet with any source from a node, to a MAC."""
    frame = bytes.fromhex((to + mac(node.name, interface)).replace(":", "")) + b"\x86\xdd" + bytes(packet)
    with node.socket(17, 3) as wire:  # AF_PACKET, SOCK_RAW
        wire.bind((interface, 0x86DD))
        wire.send(frame)


def test_hosts_have_what_their_network_hands_out(world: GlobalWorld) -> None:
    laptop, phone = (set(held(world.nodes[name])) for name in ("laptop", "phone"))
    assert any(address in ROUTED for address in laptop)
    assert not any(address in SITE for address in phone), "global addresses only"
    firewall = world.nodes["firewall"]
    for name, prefixes in (("home", HOME), ("guest", GUEST)):
        wait_for(lambda n=name, p=prefixes: {f"{x[1]}" for x in p.values()} <= set(firewall.addresses(n, 6)), 10)  # type: ignore[misc]


@pytest.mark.rfc("8028", "egress")
def test_each_packet_leaves_by_the_uplink_of_its_source_as_it_is(world: GlobalWorld) -> None:
    sources = [world.has("laptop", HOME[name], preferred=name == "kpn") for name in ("kpn", "odido")]
    sources += [world.has("phone", GUEST[name], preferred=name == "odido") for name in ("kpn", "odido")]

    def ours(packet: Packet) -> bool:
        return udp(packet) and source_of(packet) in sources

    with Capture(world.nodes["kpn"], "wan", ours) as kpn, Capture(world.nodes["odido"], "wan", ours) as odido:
        for source, host in zip(sources, ("laptop", "laptop", "phone", "phone"), strict=True):
            for _ in range(5):
                assert ask_from(world.nodes[host], source, INTERNET6) == str(source)
        wait_for(lambda: min(len(kpn.packets), len(odido.packets)) >= 20, 10, "all packets")
    for capture, mine in ((kpn, sources[0::2]), (odido, sources[1::2])):
        # Five questions out, five answers in, of each source; nothing of another's.
        assert {source_of(packet) for packet in capture.packets} == set(mine)
        assert Counter(packet.outgoing for packet in capture.packets) == {True: 10, False: 10}


def source_of(packet: Packet) -> IPv6Address:
    """The address of ours in a packet on an uplink."""
    return IPv6Address(packet.source if packet.outgoing else packet.destination)


def test_internal_addresses_are_translated_beside(world: GlobalWorld) -> None:
    internal = next(address for address in held(world.nodes["laptop"]) if address in ROUTED)
    seen = IPv6Address(ask_from(world.nodes["laptop"], internal, INTERNET6))
    assert seen in IPv6Network("2001:db8:a100:10::/64")
    assert int(seen) & (1 << 64) - 1 == int(internal) & (1 << 64) - 1


def test_pinholes_are_open_at_the_global_addresses_too_by_every_uplink(world: GlobalWorld) -> None:
    internet = world.nodes["internet"]
    for uplink, prefix in HOME.items():
        nas = str(prefix[5])
        with Capture(world.nodes[uplink], "wan", lambda p: p.protocol == "tcp" and p.outgoing) as capture:
            wait_for(lambda a=nas: ask(internet, "tcp", a, 443) == INTERNET6, 10, f"{nas} to answer")  # type: ignore[misc]
            assert capture.wait(lambda p: p.source_port == 443).source == nas, "back by the way it came"
        assert ask(internet, "tcp", nas, 22, timeout=0.5) is None
        assert ask(internet, "tcp", str(prefix[0x77]), 443, timeout=0.5) is None
    for prefix in GUEST.values():
        assert ask(internet, "tcp", str(prefix[5]), 443, timeout=0.5) is None, "the suffix is home's"


def test_nothing_of_the_firewall_answers_at_its_global_addresses(world: GlobalWorld) -> None:
    internet = world.nodes["internet"]
    for prefix in (HOME["kpn"], GUEST["odido"]):
        for port in (22, 53):
            assert ask(internet, "tcp", str(prefix[1]), port, timeout=0.2) is None
        assert internet.run(["ping", "-c", "1", "-W", "1", str(prefix[1])], check=False).returncode != 0


def test_a_rule_for_one_uplink_only_stands_above_the_source(world: GlobalWorld) -> None:
    laptop = world.nodes["laptop"]
    sources = {name: world.has("laptop", HOME[name], preferred=name == "kpn") for name in ("kpn", "odido")}
    with Capture(world.nodes["kpn"], "wan", lambda p: p.protocol == "tcp" and p.destination_port == 80) as capture:
        assert ask_from(laptop, sources["odido"], INTERNET6, 80, "tcp") == str(sources["odido"])
        assert ask_from(laptop, sources["kpn"], INTERNET6, 80, "tcp") in {"OSError", "TimeoutError"}
        assert capture.packets == []
    assert ask_from(laptop, sources["kpn"], INTERNET6, 443, "tcp") == str(sources["kpn"])


def test_a_host_with_a_global_address_reaches_a_translated_one(world: GlobalWorld) -> None:
    # By its address outside, which names outside have: the ingress turns it round, the pinhole is for it too.
    phone, source = world.nodes["phone"], world.has("phone", GUEST["kpn"], preferred=False)
    with Capture(world.nodes["nas"], "eth0", lambda p: p.protocol == "tcp") as capture:
        assert ask_from(phone, source, "2001:db8:a100:10::5", 443, "tcp") == "2001:db8:a::2"
        capture.wait(lambda p: not p.outgoing)
        assert {p.source for p in capture.packets if not p.outgoing} == {"2001:db8:a::2"}, "as from outside"
    assert ask_from(phone, source, "2001:db8:a100:10::5", 22, "tcp") != "2001:db8:a::2"


def test_sources_are_each_networks_own(world: GlobalWorld) -> None:
    laptop = world.has("laptop", HOME["kpn"], preferred=True)
    forged = [GUEST["kpn"][9], IPv6Address("2001:db8:a100:99::9"), IPv6Address("2001:db8:b100:ff99::9")]
    with (
        Capture(world.nodes["internet"], "eth0", udp) as outside,
        Capture(world.nodes["laptop"], "eth0", udp) as inside,
    ):
        for source in (*forged, laptop):
            packet = IPv6(src=str(source), dst=INTERNET6) / UDP(sport=5000, dport=7) / Raw(b"forged?")
            send(world.nodes["laptop"], "eth0", packet, mac("firewall", "home"))
        outside.wait(lambda p: p.source == str(laptop) and p.source_port == 5000)
        assert {p.source for p in outside.packets if p.source_port == 5000} == {str(laptop)}
        # From outside: what is of our own delegation, handed out or not.
        for source in (HOME["kpn"][9], IPv6Address("2001:db8:a100:99::9"), IPv6Address(INTERNET6)):
            packet = IPv6(src=str(source), dst=str(laptop)) / UDP(sport=5001, dport=7) / Raw(b"forged?")
            send(world.nodes["kpn-isp"], "port", packet, mac("kpn", "wan"))
        inside.wait(lambda p: p.source_port == 5001)
        assert {p.source for p in inside.packets if p.source_port == 5001} == {INTERNET6}


@pytest.mark.rfc("7084", "WPD-5")
@pytest.mark.parametrize("address", ["2001:db8:a100:7777::1", "2001:db8:b100:ff77::1"])
def test_the_unassigned_part_is_unreachable_and_nothing_loops(world: GlobalWorld, address: str) -> None:
    def asked(packet: Packet) -> bool:
        return packet.protocol == "icmp6" and packet.kind == 128 and not packet.source.startswith("fe80:")

    uplink = "kpn" if ":a100:" in address else "odido"
    for host, interface in (("internet", "eth0"), ("laptop", "eth0")):
        with Capture(world.nodes[uplink], "dmz", asked) as dmz, Capture(world.nodes[host], interface, error) as told:
            world.nodes[host].run(["ping", "-c", "1", "-W", "1", address], check=False)
            told.wait(lambda p: not p.outgoing, 10, f"{host} to be told that {address} is not there")
            assert len(dmz.packets) <= 4


@pytest.mark.rfc("7084", "L-3")
@pytest.mark.rfc("7084", "L-6")
@pytest.mark.rfc("8106", "5.1")
@pytest.mark.rfc("8319", "4")
def test_what_is_advertised(world: GlobalWorld) -> None:
    found = solicited(world, "laptop")
    assert found.lifetime == 1800
    assert found.flags & 0xC0 == 0x40, "stateless DHCPv6: O, not M"
    assert {option.flags & 0xC0 for option in found.prefixes.values()} == {0xC0}, "on link, autonomous"
    assert found.routes.keys() == {SITE, KPN, ODIDO}
    assert found.mtu == 1500
    assert found.dns == found.search == 1800
    assert found.prefixes[HOME["kpn"]].preferred == 2700
    assert {found.prefixes[prefix].valid for prefix in HOME.values()} == {5400}


def solicited(world: GlobalWorld, host: str) -> Advertisement:
    """The answer to a router solicitation of a host."""
    node = world.nodes[host]
    own = node.output(["ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link"]).split()[3].partition("/")[0]
    solicitation = IPv6(src=own, dst="ff02::2", hlim=255) / ICMPv6ND_RS()
    with Capture(node, "eth0", advertised) as capture:
        send(node, "eth0", solicitation, "33:33:00:00:00:02")
        return advertisement(capture.wait(lambda _: True, 10, "an advertisement"))


@pytest.mark.rfc("8028", "deprecated")
def test_a_dead_uplinks_prefix_is_deprecated_and_hosts_move(world: GlobalWorld) -> None:
    old = world.has("laptop", HOME["kpn"], preferred=True)
    with Capture(world.nodes["laptop"], "eth0", advertised) as capture:
        world.down("kpn")
        world.has("laptop", HOME["kpn"], preferred=False)
        world.has("laptop", HOME["odido"], preferred=True)
        world.sees("laptop", HOME["odido"])
        told = [advertisement(packet) for packet in capture.packets]
        assert all(found.lifetime == 1800 and found.mtu == 1500 for found in told), "the router stays, and the MTU"
    assert ask_from(world.nodes["laptop"], old, INTERNET6) != str(old)
    world.up("kpn")
    assert world.has("laptop", HOME["kpn"], preferred=True) == old
    world.sees("laptop", HOME["kpn"])


@pytest.mark.rfc("9096", "L-15/16")
def test_lifetimes_are_never_longer_than_what_the_isp_leaves(world: GlobalWorld) -> None:
    with Capture(world.nodes["laptop"], "eth0", advertised) as capture:
        since = world.lease("kpn", KPN, 6, 9)
        ahead = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()

        def said(packet: Packet) -> tuple[float, PrefixOption]:
            return packet.time + ahead - since, advertisement(packet).prefixes[HOME["kpn"]]

        def low(packet: Packet) -> bool:
            return said(packet)[1].valid <= 9

        capture.wait(low, 10, "the short lifetimes")
        capture.wait(lambda p: low(p) and said(p)[1].preferred == 0, 60, "deprecated as the ISP does")
        capture.wait(lambda p: low(p) and said(p)[1].valid == 0, 60, "gone as the ISP says")
        found = [said(packet) for packet in capture.packets if low(packet)]
        assert all(option.preferred <= max(6 - when, 0) + 0.5 for when, option in found), found
        assert all(option.valid <= max(9 - when, 0) + 0.5 for when, option in found), found
        assert len(found) <= 20, "not every second"
        world.lease("kpn", KPN)


@pytest.fixture
def lamp(world: GlobalWorld) -> Iterator[Client]:
    world.has("lamp", IOT["kpn"], preferred=True)
    client = Client(world.nodes["lamp"], "interface eth0", "ipv6rs", "ia_na 1")
    client.start()
    yield client
    client.stop()


def test_dhcpv6_leases_addresses_of_the_uplink_in_use(world: GlobalWorld, lamp: Client) -> None:
    given = lamp.given("BOUND6", "REBOOT6")
    address = IPv6Address(given["dhcp6_ia_na1_ia_addr1"])
    assert IOT["kpn"][0x10000] <= address <= IOT["kpn"][0x1FFFF]
    assert 0 < int(given["dhcp6_ia_na1_ia_addr1_vltime"]) <= 2700, "an hour is asked for"
    assert given["dhcp6_name_servers"] == "fd4b:9ca2:1d70:30::1"
    seen = wait_for(lambda: ask_from(lamp.node, address, INTERNET6) == str(address), 10, "its answer")
    assert seen

    def shown() -> set[str]:
        found = json.loads(world.nodes["firewall"].output(["routerctl", "leases", "iot", "--json"]))
        return {lease["address"] for lease in found["networks"]["iot"]}

    wait_for(lambda: str(address) in shown(), 10, lambda: f"{address} among {shown()}")  # Kea's files: twice a second


@pytest.mark.rfc("7084", "L-13")
@pytest.mark.rfc("7084", "L-14")
@pytest.mark.rfc("9096", "3.5")
def test_a_withdrawn_prefix_is_deprecated_also_by_an_agent_that_restarts(world: GlobalWorld) -> None:
    laptop, firewall = world.nodes["laptop"], world.nodes["firewall"]
    old = world.has("laptop", HOME["kpn"], preferred=True)
    new = IPv6Network("2001:db8:a200:11::/64")

    def withdrawn(packet: Packet) -> bool:
        option = advertisement(packet).prefixes.get(HOME["kpn"])
        return option is not None and (option.preferred, option.valid, option.flags & 0xC0) == (0, 0, 0xC0)

    try:
        with Capture(laptop, "eth0", advertised) as capture:
            world.delegate("kpn", KPN, KPN_NEXT)
            capture.wait(withdrawn, 20, "the old prefix with lifetimes of 0")
            world.has("laptop", new, preferred=True)
        world.sees("laptop", new)
        # The host has it still, as long as it was promised, and may not use it.
        assert 0 < held(laptop)[old]["valid_life_time"] <= 5400
        with Capture(laptop, "eth0", error) as told, Capture(world.nodes["internet"], "eth0", udp) as outside:
            assert ask_from(laptop, old, INTERNET6) in {"PermissionError", "OSError", "ConnectionRefusedError"}
            assert told.wait(lambda p: not p.outgoing).code == INGRESS_POLICY
            assert str(old) not in {p.source for p in outside.packets}
        with Capture(laptop, "eth0", advertised) as capture:
            before = world.services["firewall"].pid("router-agent")
            world.services["firewall"].kill("router-agent")
            wait_for(lambda: world.services["firewall"].pid("router-agent") not in {None, before}, 20, "another agent")
            wait_for(lambda: firewall.run(["routerctl", "status"], check=False).returncode == 0, 20, "its socket")
            world.sees("laptop", new)
            found = solicited(world, "laptop")
            assert (found.prefixes[HOME["kpn"]].preferred, found.prefixes[HOME["kpn"]].valid) == (0, 0)
            assert found.prefixes[new].preferred == 2700
            told_after = [(packet.time, advertisement(packet)) for packet in capture.packets]
            assert {found.lifetime for _, found in told_after} == {1800}, f"a restart is no end: {told_after}"
        kept = json.loads(firewall.path("/var/lib/router/deprecated.json").read_text())["held"]
        gone = {
            one["network"] for one in kept if one["until"] is not None and IPv6Network(one["prefix"]).subnet_of(KPN)
        }
        assert gone == {"home", "guest", "iot"}
    finally:
        world.delegate("kpn", KPN_NEXT, KPN)


def test_an_ingress_whose_agent_restarts_withdraws_nothing(world: GlobalWorld) -> None:
    services, address = world.services["kpn"], str(HOME["kpn"][5])
    with Capture(world.nodes["laptop"], "eth0", advertised) as capture:
        before = services.pid("router-agent")
        services.kill("router-agent")
        wait_for(lambda: services.pid("router-agent") not in {None, before}, 20, "another agent")
        assert ask(world.nodes["internet"], "tcp", address, 443), "packets need no agent"

        def ready() -> bool:
            shown = world.nodes["kpn"].run(["routerctl", "status", "--json"], check=False)
            found = json.loads(shown.stdout) if shown.returncode == 0 else {}
            return bool(found.get("ready") and found.get("bus"))

        wait_for(ready, 30, "its word on the bus")
        world.sees("laptop", HOME["kpn"])
        assert all(advertisement(p).prefixes[HOME["kpn"]].preferred == 2700 for p in capture.packets)


def test_a_single_64_goes_to_one_network(world: GlobalWorld) -> None:
    try:
        world.delegate("odido", ODIDO, ODIDO_SMALL)
        laptop = world.has("laptop", ODIDO_SMALL, preferred=False)
        wait_for(lambda: ask_from(world.nodes["laptop"], laptop, INTERNET6) == str(laptop), 10, "its answer")
        wait_for(lambda: ask(world.nodes["internet"], "tcp", str(ODIDO_SMALL[5]), 443), 10, "the pinhole")
        # The others have none of it: guest goes by the uplink that has one.
        world.has("phone", GUEST["kpn"], preferred=True)
        assert "guest gets no global prefix through odido" in " ".join(
            world.nodes["firewall"].output(["routerctl", "status"]).split()
        )
    finally:
        world.delegate("odido", ODIDO_SMALL, ODIDO)


@pytest.mark.rfc("7084", "G-5")
def test_without_any_ipv6_uplink_the_way_inside_stays(world: GlobalWorld) -> None:
    with Capture(world.nodes["laptop"], "eth0", advertised) as capture:
        for uplink in ("kpn", "odido"):
            world.down(uplink)
        last = advertisement(capture.wait(lambda p: advertisement(p).lifetime == 0, 20, "router lifetime 0"))
        assert last.routes[SITE] == 1800
        assert {last.prefixes[prefix].preferred for prefix in HOME.values()} == {0}


@pytest.mark.rfc("4861", "6.2.5")
def test_the_last_word_of_a_container_that_stops(world: GlobalWorld) -> None:
    with (
        Capture(world.nodes["laptop"], "eth0", advertised) as home,
        Capture(world.nodes["kpn"], "dmz", advertised) as dmz,
    ):
        world.services["firewall"].stop()
        home.wait(lambda p: advertisement(p).lifetime == 0, 10, "the final advertisement")
        last = advertisement(dmz.wait(lambda _: True, 10, "the DMZ's"))
        assert last.lifetime == 0
        assert last.routes[SITE] == last.routes[HOME["kpn"]] == 1800, "an ingress keeps its way back"
    world.services["firewall"].start()
