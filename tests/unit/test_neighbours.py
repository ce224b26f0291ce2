"""Which addresses an ingress answers for, and what it writes of a static uplink itself."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Network
from types import MappingProxyType

import pytest

from agent.config import Settings
from agent.desired import Plan
from agent.desired.firewall import FirewallTable
from agent.model import Link, Peer, State, UplinkIPv4, UplinkLink
from agent.plan.firewall import plan_firewall
from agent.plan.ingress import plan_ingress
from agent.plan.neighbours import proxied
from agent.render import render_ruleset
from tests.unit.config.kit import config, expect, settings

RACK = {
    "site": 'site: { name: rack, prefix: "2001:db8:77:1::/64" }',
    "networks": """
        networks:
          vms: {}
          lan: { ipv4: 10.10.10.2/24 }
          office: { ipv4: 10.10.20.0/24 }
          dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
        """,
    "docker_hosts": 'docker_hosts: { vm1: { network: vms, index: 2, mac: "02:00:00:00:00:02" } }',
    "hosts": """
        hosts:
          web: { docker_host: vm1, suffix: "::80" }
          mail: { network: lan, ipv4: 10.10.10.25 }
        """,
}
WAN = Link(2, "wan", mac="00:50:56:00:ab:cd", up=True, carrier=True)
STATE = State(synced=True, links=MappingProxyType({2: WAN, 3: Link(3, "dmz", up=True, carrier=True)}))


def uplinks(extra: str = "", address: str = "2001:db8:77:1::2/64", gateway: str = "fe80::1") -> str:
    return f"""
        uplinks:
          hetzner:
            kind: static
            set_mac: "00:50:56:00:ab:cd"
            ipv4:
              address: 192.0.2.136/32
              gateway: 192.0.2.129
              extra: [{extra}] # here
            ipv6:
              address: "{address}"
              gateway: "{gateway}"
              prefix: "2001:db8:77:1::/64"
              neighbours: proxy
        """


def rack(extra: str = "", **more: str) -> Settings:
    return settings(**RACK, uplinks=uplinks(extra, **more))


def plan(found: Settings) -> Plan:
    return plan_ingress(found, "hetzner", STATE, 0.0)


def test_what_exists_and_what_may_is_answered_for_and_nothing_else() -> None:
    found = plan(rack()).proxied
    assert found is not None
    assert (found.index, found.mac) == (2, "00:50:56:00:ab:cd")
    assert {str(address) for address in found.known} == {
        "2001:db8:77:1:20::1",
        "2001:db8:77:1:20::2",
        "2001:db8:77:1:21::80",
    }
    assert set(map(str, found.prefixes)) == {
        "2001:db8:77:1:20::1/128",
        "2001:db8:77:1:20::2/128",
        "2001:db8:77:1:21::/80",
    }


def test_a_prefix_that_is_routed_needs_no_answers() -> None:
    found = settings(**RACK, uplinks=uplinks().replace("neighbours: proxy", "neighbours: routed"))
    assert plan(found).proxied is None
    assert proxied(rack(), "hetzner", None) is None


def test_an_address_with_the_whole_prefix_does_not_put_the_prefix_on_the_uplinks_link() -> None:
    (own,) = (address for address in plan(rack()).addresses if address.ip.version == 6)
    assert own.alone
    assert not any(
        route.destination == IPv6Network("2001:db8:77:1::/64") and route.index for route in plan(rack()).routes
    )


def test_a_gateway_in_the_prefix_is_the_one_address_of_it_on_the_link() -> None:
    routes = plan(rack(gateway="2001:db8:77:1::1")).routes
    (default,) = (route for route in routes if route.destination == IPv6Network("::/0"))
    assert default.onlink
    assert [str(r.destination) for r in routes if r.index == 2 and r.destination.prefixlen == 128] == [
        "2001:db8:77:1::1/128"
    ]


def test_no_other_mac_leaves() -> None:
    assert "ether saddr != 00:50:56:00:ab:cd counter drop" in render_ruleset(plan(rack()).nft).skeleton
    others = replace(STATE, links=MappingProxyType({}))
    assert "ether saddr" not in render_ruleset(plan_ingress(rack(), "hetzner", others, 0.0).nft).skeleton


def test_further_addresses() -> None:
    found = plan(rack("{ address: 192.0.2.140, host: mail }, { address: 192.0.2.141, networks: [office] }"))
    assert {str(a.ip) for a in found.addresses if a.ip.version == 4} == {
        "192.0.2.136/32",
        "192.0.2.140/32",
        "192.0.2.141/32",
    }
    rules = render_ruleset(found.nft).skeleton
    assert "map public4 { type ipv4_addr : ipv4_addr; elements = { 192.0.2.140 : 10.10.10.25 } }" in rules
    assert 'oifname "wan" ip saddr 10.10.20.0/24 snat ip to 192.0.2.141' in rules


ERRORS = {
    "the uplink's own": ("{ address: 192.0.2.136, host: mail }", "[0].address", "the uplink's address already", "once"),
    "twice": (
        "{ address: 192.0.2.140, host: mail }, { address: 192.0.2.140, networks: [lan] }",
        "[1].address",
        "192.0.2.140 is `extra[0]` already",
        "once",
    ),
    "nobody's": ("{ address: 192.0.2.140 }", "[0]", "neither `host` nor `networks`", "one of the two"),
    "both": ("{ address: 192.0.2.140, host: mail, networks: [lan] }", "[0]", "both `host` and", "one of the two"),
    "no host": ("{ address: 192.0.2.140, host: mial }", "[0].host", "there is no host `mial`", "write `mail`"),
    "a container": ("{ address: 192.0.2.140, host: web }", "[0].host", "`web` has no IPv4", "add `ipv4`"),
    "no IPv4": ("{ address: 192.0.2.140, networks: [vms] }", "[0].networks[0]", "`vms` has no IPv4", "add `ipv4`"),
    "two for one": (
        "{ address: 192.0.2.140, networks: [lan] }, { address: 192.0.2.141, networks: [lan] }",
        "[1].networks[0]",
        "`lan` goes out by one of these addresses already",
        "once",
    ),
}


def test_no_forward_for_some_to_a_host_with_an_address_of_its_own() -> None:
    forward = "forwards:\n  tunnel: {{ udp: 51820, to: mail{who} }}\n"
    extra = uplinks("{ address: 192.0.2.140, host: mail }")
    text = config(**RACK, uplinks=extra, forwards=forward.format(who=", from: 203.0.113.0/28"))
    key, message = "uplinks.hetzner.ipv4.extra[0].host", "`from` of the forward `tunnel` to `mail` would not hold"
    expect(text, key, message, "a rule from those of `forwards.tunnel.from` to `mail`")
    assert settings(**RACK, uplinks=extra, forwards=forward.format(who="")).forwards


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    extra, key, message, mend = ERRORS[case]
    text = config(**RACK, uplinks=uplinks(extra))
    expect(text, f"uplinks.hetzner.ipv4.extra{key}", message, mend)


def test_the_firewall_turns_further_addresses_round_at_their_own_ingress() -> None:
    found = rack("{ address: 192.0.2.140, host: mail }")
    near = UplinkLink(True, 1500, IPv4Address("10.99.0.10"), IPv6Address("fe80::a"), "02:00:00:00:99:0a")
    links = {2: Link(2, "dmz", up=True), 3: Link(3, "lan", up=True)}
    told = {"hetzner": Peer(link=near, ipv4=UplinkIPv4(IPv4Interface("192.0.2.136/32")))}
    table = plan_firewall(found, State(synced=True, links=links, peers=MappingProxyType(told)), 0.0).nft
    assert isinstance(table, FirewallTable)
    assert [str(network) for network, _ in table.external4] == ["192.0.2.136/32", "192.0.2.140/32"]
    silent = plan_firewall(found, State(synced=True, links=links, peers={"hetzner": Peer(link=near)}), 0.0).nft
    assert isinstance(silent, FirewallTable)
    assert silent.external4 == ()
