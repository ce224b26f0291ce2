"""The whole router on a real kernel with real daemons: what `make demo` shows, and what it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.capture import Capture
from tests.lab.internet import ask, serve_echo
from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.topology import INTERNET4, INTERNET6, KPN_NEXT_PREFIX
from tests.lab.train import Train
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
# Where who goes out: `guest` prefers odido, all others kpn.
KPN = ("192.0.2.", "2001:db8:a1")
KPN_NEXT = ("192.0.2.", "2001:db8:a2")
ODIDO = ("198.51.100.", "2001:db8:b:")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.start()
        for name in ("laptop", "phone", "lamp"):
            lab.addresses(name)
            serve_echo(lab.nodes[name], "22/tcp")
        settled(lab)
        yield lab


def settled(lab: Lab) -> None:
    """Until every network is where it belongs, over both families."""
    kpn = KPN if lab.isp["kpn"].prefix != KPN_NEXT_PREFIX else KPN_NEXT
    for name, sources in (("laptop", kpn), ("phone", ODIDO), ("lamp", kpn)):
        for address, source in zip((INTERNET4, INTERNET6), sources, strict=True):
            goes_out(lab.nodes[name], address, source)


def goes_out(node: Node, address: str, source: str, timeout: float = 20.0) -> str:
    """Until new connections of the node are seen with a source that begins so."""

    def seen() -> str | None:
        answer = ask(node, "tcp", address, timeout=1.0)
        return answer if answer and answer.startswith(source) else None

    return wait_for(seen, timeout, f"{node.name} to be seen as {source}… by {address}", interval=0.05)


@pytest.mark.rfc("7084", "ULA-4")
def test_each_network_goes_out_by_its_own_first_uplink_translated(lab: Lab) -> None:
    settled(lab)
    since = time.monotonic()
    settled(lab)
    # Five: kpn's IPv4 address is shared by two, all others are seen as themselves.
    wait_for(lambda: len(lab.internet.sources("tcp", since=since)) == 5, 5, lab.internet.capture.summary)
    sources = lab.internet.sources("tcp", since=since)
    assert {source for source in sources if source.startswith(("10.", "fd"))} == set()


def test_host_bits_and_subnet_of_a_mapped_host_stay(lab: Lab) -> None:
    inside = lab.addresses("laptop")[6]
    outside = goes_out(lab.nodes["laptop"], INTERNET6, "2001:db8:a")
    assert inside.split(":")[3:] == outside.split(":")[3:]


def test_rules_between_networks(lab: Lab) -> None:
    lamp, laptop, phone = (lab.addresses(name) for name in ("lamp", "laptop", "phone"))
    for family in (4, 6):
        assert ask(lab.nodes["laptop"], "tcp", lamp[family], 22), "home reaches iot"
        for source, target in (("lamp", laptop), ("phone", laptop), ("laptop", phone), ("lamp", phone)):
            assert ask(lab.nodes[source], "tcp", target[family], 22, timeout=0.5) is None, f"{source} reached {target}"


def test_the_firewall_answers_ping_and_no_other_service(lab: Lab) -> None:
    laptop = lab.nodes["laptop"]
    for gateway in ("10.10.0.1", "fd4b:9ca2:1d70:10::1"):
        laptop.run(["ping", "-c", "1", "-W", "2", gateway])
        for port in (22, 1883, 8080):
            assert ask(laptop, "tcp", gateway, port, timeout=0.3) is None


def test_inbound_is_forwarded_where_the_configuration_says_and_the_reply_returns_by_the_same_uplink(lab: Lab) -> None:
    internet = lab.nodes["internet"]
    for ingress in ("kpn", "odido"):  # home prefers kpn: what comes by odido must go back by odido
        address = wait_for(lambda i=ingress: lab.nodes[i].addresses("wan", 4), 10)[0]  # type: ignore[misc]
        with Capture(lab.nodes[ingress], "wan", lambda p: p.protocol == "tcp" and p.outgoing) as capture:
            assert ask(internet, "tcp", address, 443) == INTERNET4, "the source is preserved"
            reply = capture.wait(lambda p: p.source_port == 443)
        assert reply.source == address
        assert ask(internet, "tcp", address, 8080, timeout=0.5) is None
    kpn = lab.nodes["kpn"].addresses("wan", 4)[0]
    odido = lab.nodes["odido"].addresses("wan", 4)[0]
    assert ask(internet, "udp", kpn, 27050)
    assert ask(internet, "udp", kpn, 27051, timeout=0.5) is None, "one beyond the range"
    assert ask(internet, "udp", odido, 27050, timeout=0.5) is None, "this forward is kpn's alone"


def test_a_forward_and_a_pinhole_are_reached_from_inside_by_their_outside_address(lab: Lab) -> None:
    prefix = goes_out(lab.nodes["laptop"], INTERNET6, "2001:db8:a").split(":10:")[0]
    address4 = lab.nodes["kpn"].addresses("wan", 4)[0]
    assert ask(lab.nodes["laptop"], "tcp", address4, 443), "hairpin over IPv4"
    assert ask(lab.nodes["laptop"], "tcp", f"{prefix}:10::5", 443), "hairpin over IPv6"


def test_a_pinhole_opens_one_port_of_one_host(lab: Lab) -> None:
    prefix = goes_out(lab.nodes["laptop"], INTERNET6, "2001:db8:a").split(":10:")[0]
    internet = lab.nodes["internet"]
    assert ask(internet, "tcp", f"{prefix}:10::5", 443) == INTERNET6
    assert ask(internet, "tcp", f"{prefix}:10::5", 22, timeout=0.5) is None
    laptop = f"{prefix}:10:" + lab.addresses("laptop")[6].split(":10:")[1]
    assert ask(internet, "tcp", laptop, 22, timeout=0.5) is None


def test_nothing_answers_on_an_uplink(lab: Lab) -> None:
    isp = lab.nodes["kpn-isp"]
    for address in (*lab.nodes["kpn"].addresses("wan", 4), *lab.nodes["kpn"].addresses("wan", 6)):
        for port in (22, 53, 80, 547, 1883):
            assert ask(isp, "tcp", address, port, timeout=0.2) is None
        assert isp.run(["ping", "-c", "1", "-W", "1", address], check=False).returncode != 0


def test_a_new_prefix_is_in_use_as_soon_as_it_is_known(lab: Lab) -> None:
    kpn = lab.nodes["kpn"]
    with Train(lab.nodes["laptop"], INTERNET6) as train:
        train.wait_flowing()
        lab.isp["kpn"].delegate(KPN_NEXT_PREFIX)
        route = f"unreachable {KPN_NEXT_PREFIX}"
        wait_for(lambda: route in kpn.output(["ip", "-6", "route"]), 15, "the new prefix", interval=0.002)
        known = time.monotonic()
        first = train.wait_source(lambda source: source.startswith(KPN_NEXT[1]), 15)
        train.wait_flowing()
    # How soon is the benchmark's business (prefix-to-packet); a test's machine may be busy.
    assert first.time - known < 2.0
    after = [number for number in train.result.lost if train.result.times[number] > first.time + 0.5]
    assert not after, "nothing is lost once the prefix is in use"


def test_a_dead_link_moves_its_networks_and_only_those_and_a_new_one_takes_them_back(lab: Lab) -> None:
    settled(lab)
    with (
        Train(lab.nodes["phone"], INTERNET4) as untouched4,
        Train(lab.nodes["phone"], INTERNET6) as untouched6,
        Train(lab.nodes["laptop"], INTERNET4) as moving4,
        Train(lab.nodes["laptop"], INTERNET6) as moving6,
    ):
        trains = (untouched4, untouched6, moving4, moving6)
        for train in trains:
            train.wait_flowing()
        lab.isp["kpn"].link_down()
        for train, source in zip((moving4, moving6), ODIDO, strict=True):
            train.wait_source(lambda seen, source=source: seen.startswith(source), 5)  # type: ignore[misc]
        lab.isp["kpn"].link_up()
        settled(lab)
        for train in trains:
            train.wait_flowing()
    assert untouched4.result.lost == untouched6.result.lost == []
    assert [len(train.result.gaps) for train in (moving4, moving6)] == [1, 1], "one gap: nothing moves a healthy flow"


@pytest.mark.rfc("7084", "G-5")
def test_without_any_ipv6_uplink_the_router_lifetime_is_0_at_once(lab: Lab) -> None:
    with Capture(lab.nodes["laptop"], "eth0", lambda p: p.protocol == "icmp6" and p.kind == 134) as capture:
        lab.isp["odido"].ipv6_off()
        lab.isp["kpn"].ipv6_off()
        capture.wait(lambda p: _lifetime(p.data) == 0, 15, "an advertisement with router lifetime 0")
        wait_for(lambda: "default" not in lab.nodes["laptop"].output(["ip", "-6", "route"]), 5, "no default route")
        goes_out(lab.nodes["laptop"], INTERNET4, KPN[0])
        lab.isp["kpn"].ipv6_on()
        lab.isp["odido"].ipv6_on()
        capture.wait(lambda p: _lifetime(p.data) > 0, 30, "an advertisement of a router again")
    settled(lab)


def _lifetime(frame: bytes) -> int:
    """Router lifetime in seconds of an advertisement (RFC 4861 section 4.2) in an Ethernet frame."""
    return int.from_bytes(frame[14 + 40 + 6 : 14 + 40 + 8])
