"""Rules that can never match: a warning that names both lines."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.config import load_file
from tests.unit.config.kit import config, expect, report

HOSTS = (
    "hosts: { nas: { network: home, ipv4: 10.10.0.5, suffix: '::5' }, six: { network: home, suffix: '::6' },"
    " four: { network: home, ipv4: 10.10.0.4 } }"
)
SHADOWED = {
    "the same again": ("from: home, to: internet, tcp: 443", "from: home, to: internet, tcp: 443"),
    "a host of the network": ("from: home, to: internet", "from: nas, to: internet, udp: 53"),
    "anything to anything": ("from: any, to: any", "from: [nas, internet], to: firewall, service: ssh"),
    "a wider range": ("from: home, to: dmz, tcp: 1-1024", "from: home, to: dmz, service: [ssh, https]"),
    "the whole protocol": ("from: home, to: dmz, protocol: tcp", "from: home, to: dmz, tcp: 443"),
    "all types": ("from: home, to: dmz, protocol: icmp", "from: home, to: dmz, icmp: ping"),
    "a wider prefix": ("from: 10.10.0.0/25, to: dmz", "from: 10.10.0.7, to: dmz"),
    "a prefix of the network": ("from: home, to: dmz", "from: ['10.10.0.7', 'fd4b:9ca2:1d70:10::/80'], to: dmz"),
    "both families": ("from: home, to: dmz", "from: home, to: dmz, family: ipv6"),
}


def rules(first: str, second: str) -> str:
    return f"rules:\n  - {{ {first}, action: accept }}\n  - {{ {second}, action: drop }} # here\n"


@pytest.mark.parametrize("case", SHADOWED)
def test_a_rule_that_an_earlier_one_takes_whole(case: str) -> None:
    text = config(rules=rules(*SHADOWED[case]))
    line = next(number for number, found in enumerate(text.splitlines(), 1) if "action: accept" in found)
    message = f"rule 1 takes all that it names (line {line})"
    expect(text, "rules[1]", message, "delete it, put it before that rule", "warning")


NOT_SHADOWED = {
    "a limit": ("from: home, to: internet, limit: 5/s", "from: home, to: internet"),
    "hours": ("from: home, to: internet, when: { days: mon }", "from: home, to: internet"),
    "one family": ("from: home, to: internet, family: ipv4", "from: home, to: internet"),
    "other ports": ("from: home, to: internet, tcp: 80-443", "from: home, to: internet, tcp: 444"),
    "other protocol": ("from: home, to: internet, tcp: 53", "from: home, to: internet, udp: 53"),
    "more protocols": ("from: home, to: internet, tcp: 53", "from: home, to: internet"),
    "more types": ("from: home, to: dmz, icmp: ping", "from: home, to: dmz, protocol: icmp"),
    "more ends": ("from: nas, to: internet", "from: home, to: internet"),
    "one of two ends": ("from: home, to: internet", "from: home, to: [internet, dmz]"),
    "wider prefix": ("from: 10.10.0.7, to: dmz", "from: 10.10.0.0/25, to: dmz"),
}


@pytest.mark.parametrize("case", NOT_SHADOWED)
def test_a_rule_that_may_still_match(case: str) -> None:
    assert report(config(rules=rules(*NOT_SHADOWED[case]))).warnings == ()


NOTHING = {
    "protocol and family": ("from: home, to: dmz, family: ipv6, icmp: ping", "exclude each other"),
    "ends of two families": ("from: four, to: six", "`from` and `to` have no family in common"),
    "an address of another family": ("from: 10.10.0.7, to: dmz, family: ipv6", "nothing in its `from` has an address"),
    "addresses of two families": ("from: 10.10.0.7, to: '2001:db8::1'", "no family in common"),
    "through us": ("from: internet, to: internet", "nothing passes the router from internet to internet"),
}


@pytest.mark.parametrize("case", NOTHING)
def test_a_rule_that_no_packet_fits(case: str) -> None:
    line, message = NOTHING[case]
    text = config(hosts=HOSTS, rules=f"rules:\n  - {{ {line}, action: accept }} # here\n")
    expect(text, "rules[0]", message, "delete the rule, or change its ends", "warning")


def test_thousands_of_rules_are_compared_in_seconds(tmp_path: Path) -> None:
    hosts = "".join(f"  h{n}: {{ network: home, ipv4: 10.10.{n // 250}.{n % 250 + 2} }}\n" for n in range(500))
    lines = "".join(f"  - {{ from: h{n % 500}, to: dmz, tcp: {n // 500 + 1}, action: accept }}\n" for n in range(2000))
    path = tmp_path / "router.yaml"
    networks = (
        "networks:\n  home: { subnet: 0x10, ipv4: 10.10.0.0/16 }\n"
        "  dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }\n"
    )
    path.write_text(config(networks=networks, hosts=f"hosts:\n{hosts}", rules=f"rules:\n{lines}"))
    start = time.monotonic()
    assert load_file(path, {}).warnings == ()
    assert time.monotonic() - start < 60  # a few seconds on an idle machine
