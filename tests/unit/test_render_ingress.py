"""The text of an ingress's rules and files: what an event may change, and what never shows."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Network

from agent.desired.ingress import DhcpcdConfig, Forward, IngressStatic, IngressTable, PppPeer, PppSecrets
from agent.drivers.nft import difference
from agent.model import PrefixMapping
from agent.plan.ingress import plan_ingress
from agent.render import render_file, render_ruleset
from tests.golden.firewall_cases import LAB, settings
from tests.golden.ingress_cases import NOW, PREFIX, cases, state

OTHER = "2001:db8:b100::/48"


def rules(*prefixes: str) -> IngressTable:
    table = plan_ingress(settings(LAB), "kpn", state(*prefixes), NOW).nft
    assert isinstance(table, IngressTable)
    return table


def test_a_new_prefix_changes_the_dynamic_chains_alone() -> None:
    before, after = render_ruleset(rules(PREFIX)), render_ruleset(rules(OTHER))
    assert before.skeleton is after.skeleton
    assert before.elements == after.elements
    lines = difference(before, after).splitlines()
    assert lines
    assert {" ".join(line.split()[:4]) for line in lines} == {"flush chain inet router", "add rule inet router"}
    assert {line.split()[4] for line in lines} == {"npt_in", "npt_out", "npt_error"}
    assert "2001:db8:b100" in difference(before, after)
    assert "2001:db8:a100" not in difference(before, after)


def test_a_successor_of_the_link_needs_the_whole() -> None:
    """Its number is in the skeleton: the guard's hook is gone with the old link."""
    table = rules(PREFIX)
    other = replace(table, static=replace(table.static, wan_index=99))
    assert render_ruleset(table).skeleton != render_ruleset(other).skeleton


def test_plan_and_render_of_a_prefix_change_are_quick() -> None:
    seen = [state(f"2001:db8:{number:x}::/48") for number in range(1, 101)]
    times = []
    for one in seen:
        started = time.perf_counter()
        render_ruleset(plan_ingress(settings(LAB), "kpn", one, NOW).nft)
        times.append(time.perf_counter() - started)
    assert statistics.median(times) < 0.005  # 0.3 ms on an idle machine; a busy one must not fail the test


def test_forwards_keep_ranges_and_shift_ports() -> None:
    to = IPv4Address("10.10.0.5")
    static = IngressStatic(forwards=(Forward("udp", 5, 9, to, 5), Forward("tcp", 80, 81, to, 8080)))
    text = render_ruleset(IngressTable(static)).skeleton
    assert "elements = { udp . 5-9 : 10.10.0.5 }" in text
    assert "elements = { tcp . 80 : 10.10.0.5 . 8080, tcp . 81 : 10.10.0.5 . 8081 }" in text


def test_an_internal_prefix_within_fc00_is_told_once() -> None:
    site = IPv6Network("fd00:1:2::/48")
    text = render_ruleset(IngressTable(IngressStatic(wan="wan", internal6=(site,)))).skeleton
    assert "ip6 saddr fc00::/7 drop" in text
    assert "ip6 saddr fd00:1:2::/48 drop" not in text
    own = IPv6Network("2001:db8:77::/48")
    text = render_ruleset(IngressTable(IngressStatic(wan="wan", internal6=(own,)))).skeleton
    assert "ip6 saddr 2001:db8:77::/48 drop" in text
    assert "ip6 saddr fc00::/7 drop" in text


def test_the_guard_lets_routed_prefixes_through() -> None:
    site = IPv6Network("2001:db8:77:1::/64")
    text = render_ruleset(IngressTable(IngressStatic(wan="wan", internal6=(site,), routed6=(site,)))).skeleton
    guard = text.split("chain guard")[1]
    assert "ip6 saddr fc00::/7 " in guard
    assert "2001:db8:77:1::" not in guard


def test_a_mapping_without_a_source_has_no_rule_that_needs_one() -> None:
    mapping = PrefixMapping(IPv6Network("fd00::/64"), IPv6Network("2001:db8::/64"))
    rendered = render_ruleset(IngressTable(IngressStatic(wan="wan", dmz="dmz"), mappings=(mapping,)))
    assert len(rendered.chains["npt_error"]) == 1


def test_dhcpcd_asks_for_what_is_wanted() -> None:
    text = {name: render_file(cases()[name].plan.files[0]).text for name in ("prefix", "nat66", "hoster", "home-pppoe")}
    assert "ia_pd 2/::/48 -" in text["prefix"]
    assert "ia_pd" not in text["nat66"]
    assert "allowinterfaces dmz\n" in text["hoster"]
    assert "    noipv4\n" in text["home-pppoe"]
    assert "clientid kpn" in text["prefix"]
    assert render_file(DhcpcdConfig("dmz", "kpn")).path == "dhcpcd.conf"


def test_ppp_words_are_quoted_and_the_password_stays_in_its_file() -> None:
    peer = render_file(PppPeer("eth0.6", "wan", 'in"ter\\net', 1492))
    assert 'user "in\\"ter\\\\net"' in peer.text
    secrets = render_file(PppSecrets("chap", "internet", "/run/secrets/kpn_ppp"))
    assert secrets.text.splitlines()[1] == '"internet" * "@/run/secrets/kpn_ppp" *'
    assert secrets.mode == 0o600


def test_a_tunnel_reads_its_key_from_its_file() -> None:
    tunnel = render_file(cases()["home-wireguard"].plan.files[1])
    assert "#PrivateKeyFile = /run/secrets/vpn_key\n" in tunnel.text
    assert "\nPrivateKey" not in tunnel.text
    assert tunnel.path == "wireguard/wan.conf"
