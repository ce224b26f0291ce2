from __future__ import annotations

import json
from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.delegation import last_free, pools
from agent.config.settings import Settings
from agent.model import Delegated, Link
from agent.plan.dhcp6 import delegated_routes, kea_dhcp6
from agent.render.kea_dhcp6 import render_kea_dhcp6
from tests.unit.config.kit import config, expect, settings
from tests.unit.test_config_networks import networks

SITE = IPv6Network("fd00:1:2::/48")


def of(*lines: str, hosts: str = "") -> Settings:
    return settings(
        site='site: { name: s, prefix: "fd00:1:2::/48", domain: home.arpa }', hosts=hosts, networks=networks(*lines)
    )


def links(found: Settings) -> dict[str, Link]:
    return {name: Link(number, name) for number, name in enumerate(found.networks, 2)}


def served(found: Settings) -> dict[str, dict[str, object]]:
    (wanted,) = kea_dhcp6(found, links(found))
    document = json.loads(render_kea_dhcp6(wanted).text)["Dhcp6"]
    return {subnet["interface"]: subnet for subnet in document["subnet6"]}


def test_no_network_with_dhcpv6_no_server() -> None:
    found = of("home: { subnet: 0x10 }")
    assert kea_dhcp6(found, links(found)) == ()


def test_stateless_has_options_alone() -> None:
    home = served(of("home: { subnet: 0x10, dhcp6: { mode: stateless } }"))["home"]
    assert "pools" not in home
    assert "pd-pools" not in home
    assert home["subnet"] == "fd00:1:2:10::/64"
    options = {option["name"]: option["data"] for option in home["option-data"]}  # type: ignore[attr-defined]
    assert options["domain-search"] == "home.arpa"
    assert options["information-refresh-time"] == "3600"


def test_stateful_has_a_pool_and_the_hosts_of_the_configuration() -> None:
    hosts = (
        'hosts: { nas: { network: home, mac: "02:00:00:00:10:05", suffix: "::5" }, '
        'box: { network: home, duid: "0003000102000000100A", suffix: "::6" }, tv: { network: home, suffix: "::7" } }'
    )
    home = served(of("home: { subnet: 0x10, dhcp6: { mode: stateful } }", hosts=hosts))["home"]
    assert home["pools"] == [{"pool": "fd00:1:2:10::1:0 - fd00:1:2:10::1:ffff"}]
    assert home["reservations"] == [
        {"duid": "00:03:00:01:02:00:00:00:10:0a", "ip-addresses": ["fd00:1:2:10::6"], "hostname": "box"},
        {"hw-address": "02:00:00:00:10:05", "ip-addresses": ["fd00:1:2:10::5"], "hostname": "nas"},
    ]


def test_a_pool_of_ones_own() -> None:
    found = of('home: { subnet: 0x10, dhcp6: { mode: stateful, pool: "::a-::ff", lease: 1h } }')
    home = served(found)["home"]
    assert home["pools"] == [{"pool": "fd00:1:2:10::a - fd00:1:2:10::ff"}]
    assert (home["valid-lifetime"], home["renew-timer"], home["rebind-timer"]) == (3600, 1800, 2880)


def test_delegation_takes_the_end_of_the_plan_and_networks_take_turns() -> None:
    found = of(
        "home: { subnet: 0x10, dhcp6: { delegate: 60 } }",
        "lab: { subnet: 0x20, dhcp6: { mode: stateful, delegate: 62 } }",
    )
    assert found.delegation_pools == {
        "home": IPv6Network("fd00:1:2:ff00::/56"),
        "lab": IPv6Network("fd00:1:2:fec0::/58"),
    }
    both = served(found)
    assert both["home"]["pd-pools"] == [{"prefix": "fd00:1:2:ff00::", "prefix-len": 56, "delegated-len": 60}]
    assert both["lab"]["pd-pools"] == [{"prefix": "fd00:1:2:fec0::", "prefix-len": 58, "delegated-len": 62}]


def test_a_network_at_the_end_of_the_plan_is_not_delegated() -> None:
    found = of("lab: { subnet: 0xffff }", "home: { subnet: 0x10, dhcp6: { delegate: 60 } }")
    assert found.delegation_pool("home") == IPv6Network("fd00:1:2:fe00::/56")


def test_the_way_to_a_delegated_prefix_is_by_its_router() -> None:
    found = of("home: { subnet: 0x10, dhcp6: { delegate: 60 } }")
    router = IPv6Address("fe80::7")
    leased = (
        Delegated(IPv6Network("fd00:1:2:ff10::/60"), router),
        Delegated(IPv6Network("fd00:1:2:ff20::/60")),  # nobody knows by which address
        Delegated(IPv6Network("fd00:1:2:e000::/60"), router),  # of an earlier configuration
    )
    (route,) = delegated_routes(found, links(found), leased)
    assert (str(route.destination), route.index, route.gateway) == ("fd00:1:2:ff10::/60", 3, router)
    assert delegated_routes(found, {}, leased) == frozenset()


@pytest.mark.parametrize(
    ("dhcp6", "key", "message", "mend"),
    [
        ("mode: stateless, pool: '::2-::3'", "pool", "a pool is for `mode: stateful`", "stateful"),
        ("mode: stateful, pool: '::3-::2'", "pool", "ends before it begins", "::2-::3"),
        ("mode: stateful, pool: '::1-::9'", "pool", "is no range of suffixes", "::2"),
        ("delegate: 48", "delegate", "a /48 cannot be delegated out of fd00:1:2::/48", "49 to 64"),
        ("delegate_from: 'fd00:1:2:f000::/56'", "delegate_from", "nothing is delegated", "delegate: 60"),
        ("delegate: 60, delegate_from: 'fd00:9::/56'", "delegate_from", "is not a part of", "a part of"),
        ("delegate: 60, delegate_from: 'fd00:1:2::/56'", "delegate_from", "of network `home`", "nothing else uses"),
        ("delegate: 60, delegate_from: 'fd00:1:2:f000::/62'", "delegate_from", "does not do for", "/49 to /60"),
        ("mode: stateless, slaac: false", "slaac", "no IPv6 address", "mode: stateful"),
        ("mode: stateful, lease: 0s", "lease", "no client can hold", "12h"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(dhcp6: str, key: str, message: str, mend: str) -> None:
    line = f"home: {{ subnet: 0x10, dhcp6: {{ {dhcp6} }} }} # here"
    site = 'site: { name: s, prefix: "fd00:1:2::/48", domain: home.arpa }'
    expect(config(site=site, hosts="", networks=networks(line)), f"networks.home.dhcp6.{key}", message, mend)


def test_a_plan_without_room_says_so() -> None:
    site = 'site: { name: s, prefix: "fd00:1:2:3::/64", domain: home.arpa }'
    line = "home: { subnet: 0, dhcp6: { delegate: 64 } } # here"
    text = config(site=site, hosts="", networks=networks(line))
    expect(text, "networks.home.dhcp6.delegate", "cannot be delegated", "delete it")


_subnets = st.builds(lambda n, size: IPv6Network((int(SITE[0]) + (n << 64) >> size << size, 128 - size)),
                     st.integers(0, 65535), st.integers(64, 76))  # fmt: skip


@given(st.lists(_subnets, max_size=30), st.integers(49, 64))
def test_the_last_free_part_is_free_and_the_last(taken: list[IPv6Network], length: int) -> None:
    found = last_free(SITE, length, taken)
    after = SITE.subnets(new_prefix=length) if length <= 56 else iter(())
    free = [part for part in after if not any(part.overlaps(other) for other in taken)]
    if length <= 56:
        assert found == (free[-1] if free else None)
    elif found is not None:
        assert found.prefixlen == length
        assert found.subnet_of(SITE)
        assert not any(found.overlaps(other) for other in taken)


@given(st.lists(_subnets, max_size=20), st.dictionaries(st.sampled_from("abc"), st.integers(50, 64)))
def test_pools_are_disjoint_and_hold_nothing_taken(taken: list[IPv6Network], lengths: dict[str, int]) -> None:
    found = pools(SITE, lengths, {}, taken)
    everything = [*found.values(), *taken]
    for pool in found.values():
        assert sum(pool.overlaps(other) for other in everything) == 1
    assert all(found[name].prefixlen <= length for name, length in lengths.items() if name in found)
