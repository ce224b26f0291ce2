"""Names inside: who may ask, which zones there are, what clients are told, and the files of named and D2."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import Settings
from agent.desired.dns import BlockZone, KeaD2Config, NamedConfig
from agent.desired.names import Record
from agent.model import Family
from agent.plan.dns import Asking, asked, ddns_domain, plan_dns, servers4, servers6
from agent.plan.dns_zones import reverse_zones
from agent.plan.firewall import plan_firewall
from agent.render.kea_d2 import render_kea_d2
from agent.render.named import render_block_zone, render_named
from tests.golden.firewall_cases import NOW, cases
from tests.unit.config.kit import settings

BOTH: frozenset[Family] = frozenset({4, 6})
OPEN = "rules: [ { from: home, to: firewall, udp: 53, tcp: 53, action: accept } ]"
DDNS = """
    networks:
      home: { subnet: 0x10, ipv4: 10.10.0.0/24, dhcp4: { pool: 10.10.0.100-10.10.0.199 } }
      dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
    """


def named(found: Settings, *, tls: bool = True) -> NamedConfig:
    (config,) = (d for d in plan_dns(found, tls=tls).files if isinstance(d, NamedConfig))
    return config


def rules(*lines: str) -> Settings:
    return settings(rules="rules:\n" + "".join(f"  - {{ {line} }}\n" for line in lines))


@pytest.mark.parametrize(
    ("lines", "whole", "some"),
    [
        (["from: home, to: firewall, udp: 53, action: accept"], {4, 6}, {4, 6}),
        (["from: any, to: any, action: accept"], {4, 6}, {4, 6}),
        (["from: home, to: firewall, service: dns, family: ipv4, action: accept"], {4}, {4}),
        (["from: nas, to: firewall, udp: 53, action: accept"], set(), {4, 6}),
        (["from: home, to: firewall, tcp: 53, action: accept"], set(), set()),
        (["from: home, to: firewall, udp: 54-60, action: accept"], set(), set()),
        (
            ["from: home, to: firewall, udp: 53, action: drop", "from: home, to: any, action: accept"],
            set(),
            set(),
        ),
        (
            ["from: nas, to: firewall, udp: 53, action: reject", "from: home, to: firewall, action: accept"],
            {4, 6},
            {4, 6},
        ),
        (["from: home, to: internet, action: accept"], set(), set()),
    ],
)
def test_rules_say_who_may_ask(lines: list[str], whole: set[Family], some: set[Family]) -> None:
    found = rules(*lines)
    assert asked(found).get("home", Asking()) == Asking(frozenset[Family](whole), frozenset[Family](some))
    assert plan_dns(found).named == bool(some)


def test_a_policy_lets_ask_too() -> None:
    found = settings(policies="policies: [ { from: home, to: firewall, action: accept } ]")
    assert asked(found)["home"] == Asking(BOTH, BOTH)


def test_clients_are_told_the_firewall_where_it_answers_all_of_them_else_the_forwarders() -> None:
    forwarders = (
        'dns: { forwarders: [ { address: 9.9.9.9 }, { address: 8.8.8.8, port: 5353 }, { address: "2620:fe::fe" } ] }'
    )
    closed, opened = settings(dns=forwarders), settings(dns=forwarders, rules=OPEN)
    assert servers4(closed, "home") == (IPv4Address("9.9.9.9"),), "nobody asks another port"
    assert servers6(closed, "home") == (IPv6Address("2620:fe::fe"),)
    assert servers4(opened, "home") == (IPv4Address("10.10.0.1"),)
    assert servers6(opened, "home") == (IPv6Address("fd4b:9ca2:1d70:10::1"),)
    assert servers4(opened, "dmz") == (IPv4Address("9.9.9.9"),)


def test_named_listens_and_answers_where_it_is_asked_and_nowhere_else() -> None:
    found = named(settings(rules=OPEN))
    assert found.listen4 == (IPv4Address("127.0.0.1"), IPv4Address("10.10.0.1"))
    assert found.clients == (IPv4Network("10.10.0.0/24"), IPv6Network("fd4b:9ca2:1d70:10::/64"))
    assert not found.forward


def test_without_tls_in_named_nothing_is_asked_in_the_clear() -> None:
    dns = "dns: { forwarders: [ { address: 9.9.9.9, tls_name: dns.quad9.net } ] }"
    found = settings(rules=OPEN, dns=dns)
    assert "9.9.9.9 port 853 tls" in render_named(named(found)).text
    old = render_named(named(found, tls=False)).text
    assert "9.9.9.9" not in old
    assert "recursion no;" in old
    (problem,) = plan_dns(found, tls=False).problems
    assert "TLS" in problem.message
    assert plan_dns(found).problems == ()


def test_one_forwarder_without_tls_is_asked_where_named_has_none() -> None:
    dns = "dns: { forwarders: [ { address: 9.9.9.9, tls_name: dns.quad9.net }, { address: 192.0.2.53 } ] }"
    old = render_named(named(settings(rules=OPEN, dns=dns), tls=False)).text
    assert "forwarders { 192.0.2.53 port 53; };" in old


@pytest.mark.parametrize(
    ("network", "zones"),
    [
        ("10.0.0.0/8", ["10.in-addr.arpa"]),
        ("10.10.0.0/24", ["0.10.10.in-addr.arpa"]),
        ("10.10.2.0/23", ["2.10.10.in-addr.arpa", "3.10.10.in-addr.arpa"]),
        ("10.10.0.128/26", ["0.10.10.in-addr.arpa"]),
        ("fd4b:9ca2:1d70::/48", ["0.7.d.1.2.a.c.9.b.4.d.f.ip6.arpa"]),
        ("fd4b:9ca2:1d70:10::/62", [f"{n}.1.0.0.0.7.d.1.2.a.c.9.b.4.d.f.ip6.arpa" for n in range(4)]),
    ],
)
def test_reverse_zones(network: str, zones: list[str]) -> None:
    assert list(reverse_zones(ip_network(network))) == zones


@given(st.integers(0, 2**32 - 1), st.integers(8, 32), st.integers(0, 2**32 - 1))
def test_every_address_of_a_network_is_in_one_reverse_zone(base: int, length: int, offset: int) -> None:
    network = IPv4Network((base, length), strict=False)
    address = network.network_address + offset % network.num_addresses
    zones = reverse_zones(network)
    assert sum(address.reverse_pointer.endswith(f".{zone}") for zone in zones) == 1


def test_hosts_have_names_in_both_directions() -> None:
    (forward, four, _, six) = plan_dns(settings(rules=OPEN)).zones
    assert Record("nas.home.arpa", "A", "10.10.0.5") in forward.records
    assert Record("nas.home.arpa", "AAAA", "fd4b:9ca2:1d70:10::5") in forward.records
    assert Record("5.0.10.10.in-addr.arpa", "PTR", "nas.home.arpa") in four.records
    assert Record(ip_address("fd4b:9ca2:1d70:10::6").reverse_pointer, "PTR", "six.home.arpa") in six.records
    assert Record("wpad.home.arpa", "TXT", "kept free") in forward.records


def test_the_names_of_what_the_world_knows_are_not_ours_to_give() -> None:
    uplinks = """
        uplinks:
          h:
            kind: static
            ipv6: { address: "2001:db8:77:1:10::1/76", gateway: "fe80::1", prefix: "2001:db8:77:1::/64" }
        """
    networks = """
        networks:
          home: { ipv4: 192.0.2.0/24 }
          dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
        """
    site = "site: { name: rack, prefix: '2001:db8:77:1::/64' }"
    found = settings(uplinks=uplinks, networks=networks, site=site, rules=OPEN, hosts="")
    assert [zone.zone for zone in plan_dns(found).zones] == ["home.arpa", "0.99.10.in-addr.arpa"]
    assert IPv6Network("2001:db8:77:1::/64") not in named(found).private


def test_networks_with_the_same_blocks_share_a_view_and_the_rest_has_none() -> None:
    dns = "dns: { blocks: { ads: { networks: home, names: [b.example, a.example] }, b: { networks: home, file: /f } } }"
    found = named(settings(rules=OPEN, dns=dns))
    (part,) = found.blocked
    assert part.clients == found.clients
    assert part.zones == (("ads.block", "/run/router/etc/named-block-ads.zone"), ("b.block", "/f"))
    (zone,) = (d for d in plan_dns(settings(rules=OPEN, dns=dns)).files if isinstance(d, BlockZone))
    assert "a.example CNAME .\n*.a.example CNAME .\nb.example CNAME ." in render_block_zone(zone).text
    assert "view" not in render_named(named(settings(rules=OPEN))).text


def test_leases_become_names_where_there_are_leases() -> None:
    assert ddns_domain(settings(networks=DDNS, rules=OPEN, dns="dns: { ddns: true }")) == "home.arpa"
    assert ddns_domain(settings(networks=DDNS, rules=OPEN)) == ""
    assert ddns_domain(settings(rules=OPEN, dns="dns: { ddns: true }")) == "", "nobody has a lease"
    assert ddns_domain(settings(networks=DDNS, dns="dns: { ddns: true }")) == "", "nobody may ask"


def test_the_key_is_in_no_text() -> None:
    found = plan_dns(settings(networks=DDNS, rules=OPEN, dns="dns: { ddns: true }"))
    (d2,) = (d for d in found.files if isinstance(d, KeaD2Config))
    text = render_kea_d2(d2).text
    assert '<?include "/var/lib/router/named/ddns.json"?>' in text
    document = json.loads(text.replace('<?include "/var/lib/router/named/ddns.json"?>', '"key"'))["DhcpDdns"]
    assert [z["name"] for z in document["forward-ddns"]["ddns-domains"]] == ["home.arpa."]
    assert "secret" not in text + render_named(named(settings(rules=OPEN))).text


@pytest.mark.lab
@pytest.mark.parametrize("name", sorted(cases()))
def test_named_takes_every_text(name: str, tmp_path: Path) -> None:
    assert shutil.which("named-checkconf")
    plan = plan_firewall(cases()[name].settings, replace(cases()[name].state, forwards_tls=False), NOW)
    (tmp_path / "ddns.key").write_text('key "ddns" { algorithm hmac-sha256; secret "c2VjcmV0"; };\n')
    for document in (d for d in plan.files if isinstance(d, NamedConfig)):
        path = tmp_path / "named.conf"
        path.write_text(render_named(replace(document, state=str(tmp_path), log=True)).text)
        done = subprocess.run(["named-checkconf", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
