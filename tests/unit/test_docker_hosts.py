"""The plan of docker hosts: routes to exactly what exists, each prefix from its MAC alone, ports as elements."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from agent.desired import Plan
from agent.desired.docker_hosts import Exposed, Port
from agent.desired.firewall import FirewallTable
from agent.plan import docker_hosts
from agent.plan.firewall import plan_firewall
from agent.render import render_ruleset
from tests.golden.firewall_cases import NOW, cases

CASE = cases()["hoster"]
VM1 = "2001:db8:77:1:20::2"


def plan() -> Plan:
    return plan_firewall(CASE.settings, CASE.state, NOW)


def vms() -> int:
    return next(index for index, link in CASE.links.items() if link.name == "vms")


def test_only_what_exists_is_on_the_segment() -> None:
    found = plan()
    there = {(str(r.destination), str(r.gateway or "")) for r in found.routes if r.index == vms()}
    wanted = {(f"2001:db8:77:1:{n}0::2/128", "") for n in ("2", "3", "3e8")}
    wanted |= {(f"2001:db8:77:1:{n}1::/80", f"2001:db8:77:1:{n}0::2") for n in ("2", "3", "3e8")}
    assert there == wanted
    own = [address for address in found.addresses if address.index == vms()]
    assert all(a.ip.network.prefixlen == 128 and a.nodad and a.alone for a in own)
    ends = {r.destination for r in found.routes if r.kind == "unreachable" and r.table == 254}
    assert IPv6Network("2001:db8:77:1::/64") in ends


def test_a_docker_hosts_neighbour_entry_is_its_own_for_good() -> None:
    found = {str(n.ip): n.mac for n in plan().neighbours if n.index == vms()}
    assert found[VM1] == "02:00:00:00:00:02"
    assert len(found) == 3


def test_a_prefix_is_a_source_from_its_mac_alone() -> None:
    rules = render_ruleset(plan().nft)
    assert "2001:db8:77:1:20:: . 02:00:00:00:00:02" in rules.elements["own76_vms"]
    assert len(rules.elements["own76_vms"]) == len(rules.elements["macs_vms"]) == 3


def test_an_open_port_is_an_element_and_nothing_else() -> None:
    table = plan().nft
    assert isinstance(table, FirewallTable)
    closed = render_ruleset(table)
    port: Port = (IPv6Address("2001:db8:77:1:21::80"), "tcp", 443)
    opened = render_ruleset(replace(table, exposed=(Exposed("vm1", (port,)),)))
    assert opened.skeleton == closed.skeleton
    assert closed.elements["exposed6"] == {}
    assert opened.elements["exposed6"] == {"2001:db8:77:1:21::80 . tcp . 443": ""}
    changed = {name for name in opened.elements if opened.elements[name] != closed.elements[name]}
    assert changed == {"exposed6"}


def test_it_is_worked_out_once() -> None:
    settings = CASE.settings
    assert docker_hosts.fleet(settings) is docker_hosts.fleet(settings)
    first, second = render_ruleset(plan().nft).elements, render_ruleset(plan().nft).elements
    assert first["own76_vms"] is second["own76_vms"]
