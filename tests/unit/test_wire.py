"""The bus on paper: what is sent is what is read, and no bytes make a reader fail otherwise than by a WireError."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import wire
from agent.model import (
    Choice,
    Deadline,
    Delegation,
    Fact,
    FamilyChoice,
    FamilyHealth,
    NodeInfo,
    NodeState,
    PartStatus,
    Peer,
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
    FamilyHealth, up=st.booleans(), loss=st.none() | st.floats(0, 1), rtt=st.none() | st.floats(0, 3600)
)
choices = st.builds(FamilyChoice, uplink=st.none() | names, why=texts)
macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":")) | st.just("")
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(NodeState, state=st.sampled_from(["init", "ready", "disconnected", "lost"]), session=names),
    st.builds(
        NodeInfo,
        role=st.sampled_from(["ingress", "firewall"]),
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
    st.builds(PartStatus, part=names, fingerprint=texts, error=texts, hint=texts),
)


def without_deadlines(fact: Fact) -> Fact:
    match fact:
        case Delegation():
            return replace(fact, preferred_until=None, valid_until=None)
        case UplinkIPv4() | UplinkIPv6() | UplinkHealth():
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


def test_control_characters_are_replaced_when_sent_and_refused_when_read() -> None:
    received = there_and_back(PartStatus("nft", "1", error="line 1\nline 2\x1b[2J"))
    assert received.fact == PartStatus("nft", "1", error="line 1\nline 2?[2J")
    with pytest.raises(wire.WireError, match="status/nft: error: control characters"):
        decode("status/nft", {"fingerprint": "1", "error": "\x1b[2J"})


@given(st.binary(max_size=200), st.none() | st.integers(0, 0xFFFFFFFF))
def test_random_bytes_are_no_more_than_an_error(payload: bytes, expiry: int | None) -> None:
    with pytest.raises(wire.WireError):
        wire.decode("home", "backstage/1/home/kpn/uplink/ipv6", payload, expiry, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
known_topics = ("state", "info", "uplink/link", "uplink/ipv4", "uplink/ipv6", "uplink/health", "uplink/prefix/48")
known_fields = st.sampled_from(
    [
        "state",
        "session",
        "role",
        "version",
        "schema",
        "config_digest",
        "carrier",
        "mtu",
        "ipv4",
        "ipv6",
        "link_local",
        "mac",
        "address",
        "gateway",
        "dns",
        "valid",
        "mode",
        "addresses",
        "mappings",
        "nat66",
        "prefix",
        "preferred",
        "fingerprint",
        "error",
        "hint",
    ]
)


@given(
    st.sampled_from((*known_topics, "choice/home", "status/nft", "choice/", "event/x", "unknown")),
    st.dictionaries(known_fields | st.text(), json_values | st.just("fd00::/48") | st.just("ready")),
    st.none() | st.integers(0, 0xFFFFFFFF),
)
def test_random_documents_are_no_more_than_an_error(topic: str, document: dict[str, Any], expiry: int | None) -> None:
    try:
        received = wire.decode("home", f"backstage/1/home/kpn/{topic}", json.dumps(document).encode(), expiry, NOW)
    except wire.WireError as error:
        assert str(error).startswith(topic)  # noqa: PT017  both ends are right here
    else:
        assert wire.topic_of(received.fact) == topic


def decode(topic: str, document: object, expiry: int | None = None) -> wire.Received:
    return wire.decode("home", f"backstage/1/home/kpn/{topic}", json.dumps(document).encode(), expiry, NOW)


@pytest.mark.parametrize(
    ("topic", "document", "expiry", "message"),
    [
        ("state", [], None, "state: not a JSON object"),
        ("state", {"state": "ready"}, None, "state: session: missing"),
        ("state", {"state": "up", "session": "1"}, None, "state: state: not init, ready"),
        ("state", {"state": 1, "session": "1"}, None, "state: state: not text"),
        ("info", {"role": "x", "version": "", "schema": 1, "config_digest": ""}, None, "info: role: not ingress or"),
        ("info", {"role": "ingress", "version": "", "schema": True, "config_digest": ""}, None, "info: schema: not a"),
        ("uplink/link", {"carrier": 1, "mtu": 1500}, None, "uplink/link: carrier: not true or false"),
        ("uplink/link", {"carrier": True, "mtu": -1}, None, "uplink/link: mtu: not a whole number of 0 to"),
        ("uplink/link", {"carrier": True, "mtu": 1500, "mac": "02:AB"}, None, "uplink/link: mac: not a MAC"),
        ("uplink/link", {"carrier": True, "mtu": 1500, "link_local": "2001:db8::1"}, None, "not in fe80::/10"),
        ("uplink/link", {"carrier": True, "mtu": 1500, "link_local": "fe80::1%wan"}, None, "link_local: not an addr"),
        ("uplink/link", {"carrier": True, "mtu": 1500, "ipv4": 3232235777}, None, "uplink/link: ipv4: not an address"),
        ("uplink/ipv4", {"address": "192.0.2.1/255.0.0.0"}, None, "uplink/ipv4: address: not written as address/len"),
        ("uplink/ipv4", {"address": "192.0.2.1/33"}, None, "uplink/ipv4: address: "),
        ("uplink/ipv4", {"address": "192.0.2.1/24", "dns": ["x"]}, None, r"uplink/ipv4: dns\[0\]: "),
        ("uplink/ipv4", {"address": "192.0.2.1/24", "valid": 60}, None, "valid: limited, but the message has no exp"),
        ("uplink/ipv4", {"address": "192.0.2.1/24", "valid": 60}, 61, "valid: 60 s, but the message expires later"),
        ("uplink/ipv6", {"mode": "nat"}, None, "uplink/ipv6: mode: not prefix"),
        (
            "uplink/ipv6",
            {"mode": "prefix", "mappings": [{"internal": "fd00::/48", "external": "2001:db8::/56"}]},
            None,
            r"uplink/ipv6: mappings\[0\]\.external: a /56 for an internal /48",
        ),
        ("uplink/ipv6", {"mode": "none", "dns": ["::1"] * 2000}, None, "uplink/ipv6: dns: more than 1024 items"),
        ("uplink/prefix/48", {"prefix": "2001:db8::1/48"}, None, "uplink/prefix/48: prefix: .*host bits"),
        ("uplink/prefix/48", {"prefix": "2001:db8::/56"}, None, "prefix: a /56 under the topic of /48"),
        ("uplink/prefix/48", {"prefix": "2001:db8::/48", "preferred": 9, "valid": 8}, 8, "preferred: 9 s is longer"),
        ("uplink/health", {"ipv4": {"up": True, "loss": 2}}, None, r"uplink/health: ipv4\.loss: not a number of 0 to"),
        ("choice/home", {"ipv4": {"uplink": "a b", "why": ""}}, None, r"choice/home: ipv4\.uplink: not a name"),
        ("choice/a+b", {}, None, "its last level is not a name"),
        ("uplink/unheard-of", {}, None, "no such topic"),
    ],
)
def test_an_error_names_topic_field_and_why(topic: str, document: object, expiry: int | None, message: str) -> None:
    with pytest.raises(wire.WireError, match=message):
        decode(topic, document, expiry)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"[" * 60000, "nested too deeply|not JSON"),
        (b'{"a":' * 12000, "nested too deeply|not JSON"),
        (b" " * 65537, "65537 bytes are more than 65536"),
        (b'{"mtu": NaN}', "NaN is not a number"),
        (b"9" * 60000, "not JSON"),
        (b'{"state":"\xff"}', "not JSON"),
    ],
)
def test_hostile_documents(payload: bytes, why: str) -> None:
    with pytest.raises(wire.WireError, match=why):
        wire.decode("home", "backstage/1/home/kpn/state", payload, None, NOW)


@pytest.mark.parametrize(
    "topic", ["", "backstage/1/home/kpn", "backstage/1/other/kpn/state", "backstage/2/home/kpn/state", "a/b",
              "backstage/1/home/KPN/state", "backstage/1/home//state"]
)  # fmt: skip
def test_topics_of_others(topic: str) -> None:
    with pytest.raises(wire.WireError):
        wire.decode("home", topic, b"{}", None, NOW)


def test_unknown_fields_are_ignored() -> None:
    assert decode("state", {"state": "ready", "session": "1", "colour": "blue"}).fact == NodeState("ready", "1")


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
