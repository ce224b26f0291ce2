"""What an agent says of itself, for the bus and for a terminal."""

from __future__ import annotations

import json
from ipaddress import IPv4Interface, IPv6Network, ip_address

from agent.desired import Problem
from agent.model import (
    Choice,
    FamilyChoice,
    NodeInfo,
    PartStatus,
    Peer,
    PrefixMapping,
    UplinkIPv4,
    UplinkIPv6,
    UplinkLink,
)
from agent.reconcile import Status
from agent.status import fingerprint, other_configurations, plain, publications
from agent.status_text import status_text

FACTS = {
    "uplink/link": UplinkLink(carrier=True, mtu=1492, link_local=ip_address("fe80::2"), mac="02:00:00:00:00:02"),  # type: ignore[arg-type]
    "uplink/ipv4": UplinkIPv4(IPv4Interface("192.0.2.2/24")),
    "uplink/ipv6": UplinkIPv6(
        "prefix", mappings=(PrefixMapping(IPv6Network("fd4b:9ca2:1d70::/48"), IPv6Network("2001:db8:a100::/48")),)
    ),
    "choice/home": Choice("home", FamilyChoice("kpn", "first in order"), FamilyChoice(None, "no uplink has IPv6")),
}


def document(**changes: object) -> dict[str, object]:
    return {
        "node": "kpn",
        "role": "ingress",
        "version": "1",
        "ready": True,
        "bus": True,
        "parts": {"nft": {"error": "", "hint": "", "for": 3.0}},
        "problems": [],
        "facts": {topic: plain(fact) for topic, fact in FACTS.items()},
        "peers": {},
        **changes,
    }


def test_a_failure_comes_before_a_problem_of_the_same_part() -> None:
    status = {"nft": Status("refused", "look"), "route": Status()}
    problems = [Problem("nft", "less important"), Problem("link/wan", "no such link", "attach it")]
    facts = {entry.topic: entry.fact for entry in publications(status, problems, {"nft": "abc"})}
    assert facts == {
        "status/nft": PartStatus("nft", "abc", "refused", "look"),
        "status/route": PartStatus("route", ""),
        "status/link.wan": PartStatus("link.wan", "", "no such link", "attach it"),
    }


def test_a_fingerprint_follows_the_value() -> None:
    assert fingerprint((1, "a")) == fingerprint((1, "a")) != fingerprint((1, "b"))


def test_the_document_is_json() -> None:
    json.dumps(document())


def test_the_text_fits_a_terminal_and_says_what_matters() -> None:
    text = status_text(document(), 80)
    assert all(len(line) <= 80 for line in text.splitlines())
    for word in ("192.0.2.2/24", "1:1, the whole plan", "2001:db8:a100::/48", "NONE (no uplink has IPv6)", "all work"):
        assert word in text


def test_the_guard_is_said_where_there_is_one() -> None:
    assert "guard " not in status_text(document(), 80)
    assert "3 packets with an internal address" in status_text({**document(), "guarded": 3}, 80)


def test_what_fails_is_said_with_its_mend() -> None:
    parts = {"daemons": {"error": "radvd.conf refused: line 3", "hint": "see the log", "for": 4000}}
    problems = [{"part": "link/wan", "message": "no link", "hint": "attach the NIC"}]
    text = status_text(document(ready=False, bus=False, parts=parts, problems=problems), 80)
    for word in ("NOT READY", "BUS DISCONNECTED", "for 67 min", "radvd.conf refused", "see the log", "attach the NIC"):
        assert word in text
    assert "all work" not in text


def test_a_node_with_another_configuration_is_named() -> None:
    def peer(digest: str) -> Peer:
        return Peer(info=NodeInfo("ingress", "1", 1, digest))

    peers = {"kpn": peer("ours"), "odido": peer("theirs"), "vpn": Peer(), "firewall": peer("old")}
    problems = other_configurations(peers, "firewall", "ours")
    assert [problem.message for problem in problems] == ["odido runs with another configuration"]
