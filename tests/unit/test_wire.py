"""The bus on paper: what is sent is what is read, and no bytes make a reader fail otherwise than by a WireError."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import wire
from agent.model import (
    Binding,
    Choice,
    Container,
    Containers,
    Deadline,
    Delegation,
    Fact,
    FamilyChoice,
    FamilyHealth,
    NetworkLeases,
    NodeInfo,
    NodeState,
    PartStatus,
    Peer,
    PortSpan,
    PrefixMapping,
    UplinkHealth,
    UplinkIPv4,
    UplinkIPv6,
    UplinkLink,
)

NOW = 1000.0

names = st.from_regex(r"[a-z][a-z0-9-]{0,14}", fullmatch=True)
texts = st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), include_characters="\n\t"), max_size=40)
ipv4 = st.ip_addresses(v=4)
ipv6 = st.ip_addresses(v=6)
dns = st.lists(st.ip_addresses(), max_size=3).map(tuple)
deadlines = st.none() | st.floats(NOW + 1, NOW + 1e7)


@st.composite
def prefixes(draw: st.DrawFn, length: int | None = None) -> IPv6Network:
    bits = draw(st.integers(16, 64)) if length is None else length
    return IPv6Network((draw(ipv6), bits), strict=False)


@st.composite
def mappings(draw: st.DrawFn) -> PrefixMapping:
    bits = draw(st.integers(16, 64))
    return PrefixMapping(draw(prefixes(bits)), draw(prefixes(bits)))


def interfaces4() -> st.SearchStrategy[IPv4Interface]:
    return st.tuples(ipv4, st.integers(0, 32)).map(lambda pair: IPv4Interface((pair[0], pair[1])))


def interfaces6() -> st.SearchStrategy[IPv6Interface]:
    return st.tuples(ipv6, st.integers(0, 128)).map(lambda pair: IPv6Interface((pair[0], pair[1])))


health = st.none() | st.builds(
    FamilyHealth,
    up=st.booleans(),
    loss=st.none() | st.floats(0, 1),
    rtt=st.none() | st.floats(0, 3600),
    degraded=st.booleans(),
    since=st.none() | st.integers(0, int(NOW)).map(float),
)
shares = st.lists(st.tuples(names, st.integers(1, 100)), max_size=3).map(tuple)
considered = st.lists(st.tuples(names, texts), max_size=3).map(tuple)
macs = st.sampled_from(("", "02:00:00:00:00:01"))
bindings = st.builds(Binding, st.ip_addresses() | prefixes(), mac=macs, hostname=texts, duid=texts)
choices = st.builds(FamilyChoice, uplink=st.none() | names, why=texts, shares=shares, considered=considered)
macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":")) | st.just("")
spans = st.tuples(st.sampled_from(["tcp", "udp"]), st.integers(1, 65535), st.integers(1, 65535)).map(
    lambda drawn: PortSpan(drawn[0], min(drawn[1:]), max(drawn[1:]))  # type: ignore[arg-type]
)
containers = st.builds(
    Container,
    name=st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}", fullmatch=True),
    addresses=st.lists(ipv6, max_size=3).map(tuple),
    ports=st.lists(spans, max_size=3).map(tuple),
    notes=st.lists(texts, max_size=2).map(tuple),
)
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(NodeState, state=st.sampled_from(["init", "ready", "disconnected", "lost"]), session=names),
    st.builds(
        NodeInfo,
        role=st.sampled_from(["ingress", "firewall", "docker-host"]),
        version=texts,
        schema=st.integers(0, 99),
        config_digest=texts,
    ),
    st.builds(
        UplinkLink,
        carrier=st.booleans(),
        mtu=st.integers(0, 65536),
        ipv4=st.none() | ipv4,
        link_local=st.none() | st.ip_addresses(network="fe80::/10"),
        mac=macs,
    ),
    st.builds(UplinkIPv4, address=interfaces4(), gateway=st.none() | ipv4, dns=dns, valid_until=deadlines),
    st.builds(
        UplinkIPv6,
        mode=st.sampled_from(["prefix", "networks", "nat66", "routed", "none"]),
        addresses=st.lists(interfaces6(), max_size=3).map(tuple),
        gateway=st.none() | ipv6,
        mappings=st.lists(mappings(), max_size=3).map(tuple),
        nat66=st.none() | ipv6,
        dns=dns,
        valid_until=deadlines,
    ),
    st.builds(Delegation, prefix=prefixes(), preferred_until=deadlines, valid_until=deadlines),
    st.builds(UplinkHealth, ipv4=health, ipv6=health, valid_until=deadlines),
    st.builds(Choice, network=names, ipv4=choices, ipv6=choices),
    st.builds(NetworkLeases, network=names, leases=st.lists(bindings, max_size=4).map(tuple), more=st.integers(0, 9)),
    st.builds(
        Containers,
        containers=st.lists(containers, max_size=4, unique_by=lambda found: found.name).map(
            lambda found: tuple(sorted(found, key=lambda one: one.name))
        ),
        left_out=st.integers(0, 9),
        error=texts,
        valid_until=deadlines,
    ),
    st.builds(PartStatus, part=names, fingerprint=texts, error=texts, hint=texts),
)


def without_deadlines(fact: Fact) -> Fact:
    match fact:
        case Delegation():
            return replace(fact, preferred_until=None, valid_until=None)
        case UplinkIPv4() | UplinkIPv6() | UplinkHealth() | Containers():
            return replace(fact, valid_until=None)
        case _:
            return fact


def there_and_back(fact: Fact, now: float = NOW, later: float = 0.0) -> wire.Received:
    """The fact as a receiver has it, `later` whole seconds after it was sent."""
    topic = wire.topic_of(fact)
    payload, expiry = wire.encode(fact, topic, now)
    left = None if expiry is None else int(expiry - later)
    received = wire.decode("home", f"backstage/1/home/kpn/{topic}", payload, left, now + later)
    assert (received.node, received.topic) == ("kpn", topic)
    return received


def assert_not_longer(received: Deadline, sent: Deadline) -> None:
    if sent is None:
        assert received is None
    else:
        assert received is not None
        assert sent - 1.001 <= received <= sent + 1e-6


def test_the_age_of_a_choice_travels() -> None:
    chosen = FamilyChoice("kpn", "best", since=NOW - 60)
    received = there_and_back(Choice("home", chosen, replace(chosen, since=None)), later=5.0).fact
    assert received == Choice("home", replace(chosen, since=NOW + 5 - 60), replace(chosen, since=None))


@given(facts)
def test_what_is_sent_is_what_is_read(fact: Fact) -> None:
    received = there_and_back(fact)
    assert without_deadlines(received.fact) == without_deadlines(fact)
    valid = getattr(fact, "valid_until", None)
    assert_not_longer(received.until, valid)
    assert_not_longer(getattr(received.fact, "valid_until", None), valid)


@given(prefixes(), deadlines, deadlines, st.integers(0, 1000))
def test_preferred_lifetime_ages_in_the_broker(
    prefix: IPv6Network, preferred: Deadline, valid: Deadline, later: int
) -> None:
    if valid is None:
        later = 0  # without an expiry nothing counts: bounded by the periodic publication
    elif valid - NOW - later < 1:
        return
    received = there_and_back(Delegation(prefix, preferred, valid), later=later).fact
    assert isinstance(received, Delegation)
    assert_not_longer(received.valid_until, valid)
    ends = [deadline for deadline in (preferred, valid) if deadline is not None]
    if ends and min(ends) > NOW + later:
        assert_not_longer(received.preferred_until, min(ends))
    elif ends:
        assert received.preferred_until == NOW + later
    else:
        assert received.preferred_until is None


def test_a_late_joiner_gets_what_is_left() -> None:
    delegation = Delegation(IPv6Network("2001:db8::/48"), NOW + 100, NOW + 3600)
    received = there_and_back(delegation, later=40)
    assert received.fact == delegation
    late = there_and_back(delegation, later=400).fact
    assert late == replace(delegation, preferred_until=NOW + 400)


def test_a_fact_that_is_over_is_not_sent() -> None:
    with pytest.raises(wire.ExpiredError, match=r"uplink/prefix/48: valid"):
        wire.encode(Delegation(IPv6Network("2001:db8::/48"), None, NOW + 0.9), "uplink/prefix/48", NOW)


def test_a_fact_belongs_to_its_topic() -> None:
    with pytest.raises(wire.WireError, match="it is info"):
        wire.encode(NodeInfo("ingress", "1", 1, ""), "uplink/link", NOW)
    with pytest.raises(wire.WireError, match="not a name"):
        wire.topic_of(PartStatus("a/b", ""))


def test_a_document_too_big_is_not_sent() -> None:
    mapping = PrefixMapping(IPv6Network("fd00::/48"), IPv6Network("2001:db8::/48"))
    with pytest.raises(wire.WireError, match="more than 65536"):
        wire.encode(UplinkIPv6("prefix", mappings=(mapping,) * 2000), "uplink/ipv6", NOW)


def test_events() -> None:
    assert wire.encode_event("renumbered", {"old": "a"}) == ("event/renumbered", b'{"old":"a"}')
    assert wire.is_event("event/renumbered")
    for kind, document in (("a/b", {}), ("ok", {"x": float("nan")}), ("ok", {"x": object()})):
        with pytest.raises(wire.WireError):
            wire.encode_event(kind, document)


def test_the_topics_a_peer_is_known_by() -> None:
    delegation = Delegation(IPv6Network("2001:db8::/56"))
    peer = Peer(state=NodeState("ready", "1"), link=UplinkLink(carrier=True, mtu=1500), delegations={56: delegation})
    assert wire.topics_of_peer(peer) == {"state", "uplink/link", "uplink/prefix/56"}


def test_encoding_is_quick() -> None:
    fact = UplinkIPv6(
        "networks",
        addresses=(IPv6Interface("2001:db8:ffff::1/128"),),
        gateway=IPv6Address("fe80::1"),
        mappings=tuple(
            PrefixMapping(IPv6Network((0xFD00 << 112 | n << 64, 64)), IPv6Network((0x2001 << 112 | n << 64, 64)))
            for n in range(5)
        ),
        dns=(IPv4Address("192.0.2.53"),),
        valid_until=NOW + 3600,
    )
    times = []
    for _ in range(50):
        start = time.perf_counter()
        wire.encode(fact, "uplink/ipv6", NOW)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.0002


def test_the_age_of_a_verdict_grows_on_its_way() -> None:
    health = UplinkHealth(FamilyHealth(up=True, since=NOW - 50), None, NOW + 30)
    payload, expiry = wire.encode(health, "uplink/health", NOW)
    assert expiry == 30
    received = wire.decode("home", "backstage/1/home/kpn/uplink/health", payload, 20, 7000.0).fact
    assert isinstance(received, UplinkHealth)
    assert received.ipv4 is not None
    assert received.ipv4.since == 7000.0 - 60, "ten seconds at the broker"


def test_a_reader_takes_a_verdict_of_an_older_node() -> None:
    payload = b'{"ipv4": {"up": true}, "valid": 30}'
    received = wire.decode("home", "backstage/1/home/kpn/uplink/health", payload, 30, NOW).fact
    assert received == UplinkHealth(FamilyHealth(up=True), None, NOW + 30)
