from __future__ import annotations

from ipaddress import ip_network

import pytest

from agent.config.rate import Rate
from agent.config.rule import Traffic
from agent.config.service import SERVICES
from tests.unit.config.kit import config, expect, settings


def rule(line: str) -> str:
    return f"rules:\n  - {{ from: home, to: internet, action: accept, {line} }} # here\n"


def traffic(line: str) -> tuple[Traffic, ...]:
    (found,) = settings(rules=rule(line)).rules
    return found.traffic


def test_services_are_ports_with_their_protocol() -> None:
    assert traffic("service: https") == (Traffic("tcp", ((443, 443),)),)
    assert traffic("service: [ssh, dns], tcp: 8080") == (
        Traffic("tcp", ((8080, 8080), (22, 22), (53, 53))),
        Traffic("udp", ((53, 53),)),
    )
    assert traffic("service: [https, https], tcp: 443") == (Traffic("tcp", ((443, 443),)),)


def test_every_service_has_ports() -> None:
    assert all(ports and all(p.protocol in {"tcp", "udp"} for p in ports) for ports in SERVICES.values())
    assert list(SERVICES) == sorted(SERVICES)


def test_protocols_and_icmp_types_by_name_and_number() -> None:
    assert traffic("protocol: [esp, 47]") == (Traffic(47), Traffic(50))
    assert traffic("icmp: ping, icmpv6: [packet-too-big, 128]") == (Traffic(1, types=(8,)), Traffic(58, types=(2, 128)))
    assert traffic("protocol: icmpv6") == (Traffic(58),)
    assert [part.family for part in traffic("protocol: [icmp, icmpv6, gre]")] == [4, None, 6]


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", Rate(10, "second", 5)),
        ("100/m burst 50", Rate(100, "minute", 50)),
        ("5/h per source", Rate(5, "hour", 5, per_source=True)),
        ("3/d burst 1 per source", Rate(3, "day", 1, per_source=True)),
    ],
)
def test_rates(text: str, rate: Rate) -> None:
    (found,) = settings(rules=rule(f"limit: {text}")).rules
    assert found.limit == rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('{ days: mon, from: "08:00", to: "18:30" }', ((28800, 66600),)),
        ('{ days: [sat-sun], from: "22:00", to: "06:00" }', ((511200, 540000), (597600, 626400))),
        ("{ days: [fri, sat-mon] }", tuple((day * 86400, (day + 1) * 86400) for day in (0, 4, 5, 6))),
        ('{ to: "24:00" }', tuple((day * 86400, (day + 1) * 86400) for day in range(7))),
    ],
)
def test_windows(text: str, seconds: tuple[tuple[int, int], ...]) -> None:
    (found,) = settings(rules=rule(f"when: {text}")).rules
    assert found.when is not None
    assert found.when.seconds == seconds


ERRORS = {
    "a service that is nearly one": (
        "service: htps",
        "rules[0].service",
        "there is no service `htps`",
        "write `https`",
    ),
    "a service that nobody knows": ("service: [ssh, zzz]", "rules[0].service", "`zzz`", "write its ports instead"),
    "a protocol": ("protocol: eps", "rules[0].protocol", "`eps` is no protocol", "write `esp`"),
    "a protocol's number": ("protocol: 256", "rules[0].protocol", "`256` is no protocol", "a number from 0 to 255"),
    "an ICMP type": ("icmp: echo-reqest", "rules[0].icmp", "`echo-reqest` is no ICMP type", "write `echo-request`"),
    "a rate": ("limit: 10", "rules[0].limit", "`10` is not a rate", "write it like 10/s"),
    "a rate's unit": (
        "limit: 10/w",
        "rules[0].limit",
        "`10/w` is not a rate",
        "10/s, 100/m burst 50 or 5/m per source",
    ),
    "a day": ("when: { days: [mo] }", "rules[0].when.days", "`mo` is not a day", "write a day (mon tue"),
    "a time": ("when: { from: '24:01' }", "rules[0].when.from", "`24:01` is not a time of day", '"08:00"'),
    "a note that nft would take apart": ("log: 'a $b'", "rules[0].log", "nor a note", "without quotes, $"),
    "a note that is not ASCII": ("log: 'é'", "rules[0].log", "nor a note", "plain characters"),
    "a note": ("log: 'a \"b\"'", "rules[0].log", "neither true nor false nor a note", "without quotes"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_of_one_key(case: str) -> None:
    line, key, message, mend = ERRORS[case]
    expect(config(rules=rule(line)), key, message, mend)


WORDS = {
    "host bits": ("10.30.0.1/24", "`10.30.0.1/24` has host bits set", "write 10.30.0.0/24"),
    "device": ("fe80::1%eth0", "`fe80::1%eth0` names a device", "write fe80::1"),
    "no address": ("10.30.0.256", "`10.30.0.256` is not an address or a prefix", "write it like"),
    "the router itself": ("10.10.0.1", "the router's own address in `home`", "write `firewall`"),
    "the router's IPv6": ("fd4b:9ca2:1d70:10::1", "the router's own address in `home`", "write `firewall`"),
    "nearly a list": ("bloked", "there is no network or host `bloked`", "write `blocked`"),
}


@pytest.mark.parametrize("case", WORDS)
def test_errors_of_words(case: str) -> None:
    word, message, mend = WORDS[case]
    first = "  - { from: blocked, to: home, action: drop }"
    text = f"rules:\n{first}\n  - {{ from: '{word}', to: home, action: drop }} # here\n"
    lists = "lists: { blocked: { addresses: [192.0.2.1] } }"
    expect(config(lists=lists, rules=text), "rules[1].from[0]", message, mend)


LISTS = {
    "no source": ("bad: {} # here", "lists.bad", "the list `bad` has no addresses", "write one of `addresses"),
    "two sources": (
        "bad: { file: a, names: [b.example] } # here",
        "lists.bad",
        "both `file` and `names`",
        "write one of",
    ),
    "too often": ("bad: { file: a, refresh: 1s } # here", "lists.bad.refresh", "too often", "at least 10s"),
    "an address": (
        "bad: { addresses: [here] } # here",
        "lists.bad.addresses[0]",
        "`here` is not an address",
        "192.0.2",
    ),
    "a name twice": ("home: { file: a } # here", "lists.home", "`home` is a name in `networks` too", "rename"),
}


@pytest.mark.parametrize("case", LISTS)
def test_errors_of_lists(case: str) -> None:
    line, key, message, mend = LISTS[case]
    name = line.partition(":")[0]
    rules = f"rules: [ {{ from: {name}, to: internet, action: drop }} ]"
    expect(config(lists=f"lists:\n  {line}\n", rules=rules), key, message, mend)


def test_a_list_that_no_rule_names_is_a_warning() -> None:
    text = config(lists="lists:\n  spare: { file: a } # here\n")
    expect(text, "lists.spare", "no rule names the list `spare`", "name it in a rule, or delete it", "warning")


def test_a_list_of_addresses() -> None:
    found = settings(lists='lists: { l: { addresses: [192.0.2.1, 198.51.100.0/24, "2001:db8::/32"] } }').lists["l"]
    assert found.kind == "addresses"
    assert found.addresses == (ip_network("192.0.2.1"), ip_network("198.51.100.0/24"), ip_network("2001:db8::/32"))


def test_a_policy_is_between_zones() -> None:
    text = "policies:\n  - { from: nas, to: internet, action: reject } # here\n"
    expect(config(policies=text), "policies[0].from[0]", "there is no zone `nas`", "for less than a zone write a rule")


def test_a_time_zone_that_does_not_exist() -> None:
    text = "site: { name: test, prefix: 'fd4b:9ca2:1d70::/48', timezone: Europe/Amsterdm } # here"
    expect(config(site=text), "site.timezone", "`Europe/Amsterdm` is not a time zone", "write `Europe/Amsterdam`")


def test_a_forward_takes_no_list_that_the_firewall_reads() -> None:
    text = config(
        lists="lists: { l: { file: a } }",
        forwards="forwards:\n  web: { tcp: 443, to: nas, from: l } # here\n",
    )
    expect(text, "forwards.web.from[0]", "`l` is read by the firewall", "a list of `addresses`")
