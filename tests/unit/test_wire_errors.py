"""What is not ours on the bus: no bytes make a reader fail otherwise than by a WireError that says where and why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import wire
from agent.model import NodeState, PartStatus

NOW = 1000.0


def decode(topic: str, document: object, expiry: int | None = None) -> wire.Received:
    return wire.decode("home", f"backstage/1/home/kpn/{topic}", json.dumps(document).encode(), expiry, NOW)


def test_control_characters_are_replaced_when_sent_and_refused_when_read() -> None:
    sent = PartStatus("nft", "1", error="line 1\nline 2\x1b[2J")
    payload, _ = wire.encode(sent, "status/nft", NOW)
    assert wire.decode("home", "backstage/1/home/kpn/status/nft", payload, None, NOW).fact == PartStatus(
        "nft", "1", error="line 1\nline 2?[2J"
    )
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


@pytest.mark.parametrize(
    ("topic", "document", "expiry", "message"),
    [
        ("state", [], None, "state: not a JSON object"),
        ("state", {"state": "ready"}, None, "state: session: missing"),
        ("state", {"state": "up", "session": "1"}, None, "state: state: not init, ready"),
        ("state", {"state": 1, "session": "1"}, None, "state: state: not text"),
        (
            "info",
            {"role": "x", "version": "", "schema": 1, "config_digest": ""},
            None,
            "info: role: not ingress, firewall or docker-host",
        ),
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
