"""The address plan of docker hosts: sizes, overrides, and what does not fit."""

from __future__ import annotations

from ipaddress import IPv6Network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.config.kit import config, expect, report, settings

SITE64 = "site: { name: rack, prefix: '2001:db8:77:1::/64' }"
SITE56 = "site: { name: rack, prefix: '2001:db8:77:100::/56' }"
SITE48 = "site: { name: rack, prefix: '2001:db8:77::/48' }"
RACK = """
    networks:
      vms: {}
      lan: { ipv4: 10.10.10.2/24 }
      dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
    """


def vm(name: str, rest: str, mac: int = 2) -> str:
    return f'{name}: {{ network: vms, {rest}, mac: "02:00:00:00:00:{mac:02x}" }}'


def vms(*lines: str) -> str:
    return "docker_hosts:\n" + "".join(f"  {line}\n" for line in lines)


ERRORS = {
    "neither": (SITE64, vms('a: { network: vms, mac: "02:00:00:00:00:02" } # here'), "a", "neither `index`", "one of"),
    "both": (SITE64, vms(vm("a", "index: 2, prefix: '2001:db8:77:1:50::/76'") + " # here"), "a", "both", "one of"),
    "a /80": (
        SITE64,
        vms(vm("a", "prefix: '2001:db8:77:1:50::/80'") + " # here"),
        "a.prefix",
        "2001:db8:77:1:50::/80 is a /80",
        "/64 to /79, best a /76",
    ),
    "another's prefix": (
        SITE64,
        vms(vm("a", "prefix: '2001:db8:78:1:50::/76'") + " # here"),
        "a.prefix",
        "not inside `site.prefix`, 2001:db8:77:1::/64",
        "a part of",
    ),
    "a taken index": (
        SITE64,
        vms(vm("a", "index: 5"), vm("b", "prefix: '2001:db8:77:1:50::/76'", 3) + " # here"),
        "b.prefix",
        "2001:db8:77:1:50::/76 of `b` overlaps 2001:db8:77:1:50::/76 of `a`",
        "its own",
    ),
    "a part of another's": (
        SITE64,
        vms(vm("a", "prefix: '2001:db8:77:1:4000::/72'"), vm("b", "index: 0x407", 3) + " # here"),
        "b.index",
        "2001:db8:77:1:4070::/76 of `b` overlaps 2001:db8:77:1:4000::/72 of `a`",
        "its own",
    ),
    "foreign containers": (
        SITE64,
        vms(vm("a", "index: 2, containers: '2001:db8:77:1:31::/80'") + " # here"),
        "a.containers",
        "2001:db8:77:1:31::/80 is not inside 2001:db8:77:1:20::/76",
        "2001:db8:77:1:21::/80",
    ),
    "containers on the VM": (
        SITE64,
        vms(vm("a", "index: 2, containers: '2001:db8:77:1:20::/80'") + " # here"),
        "a.containers",
        "holds 2001:db8:77:1:20::2, the address of `a` itself",
        "2001:db8:77:1:21::/80",
    ),
    "index of a /56": (SITE56, vms(vm("a", "index: 0x100") + " # here"), "a.index", "does not fit 8 bits", "0xff"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    site, docker_hosts, key, message, mend = ERRORS[case]
    text = config(site=site, networks=RACK, docker_hosts=docker_hosts, hosts="")
    expect(text, f"docker_hosts.{key}", message, mend)


@pytest.mark.parametrize(
    ("site", "index", "prefix", "containers"),
    [
        (SITE64, "0xfff", "2001:db8:77:1:fff0::/76", "2001:db8:77:1:fff1::/80"),
        (SITE56, "0x2", "2001:db8:77:102::/64", "2001:db8:77:102:1::/80"),
        (SITE48, "0xffff", "2001:db8:77:ffff::/64", "2001:db8:77:ffff:1::/80"),
    ],
)
def test_sizes(site: str, index: str, prefix: str, containers: str) -> None:
    machine = settings(site=site, networks=RACK, docker_hosts=vms(vm("a", f"index: {index}")), hosts="").docker_machine
    found = machine("a")
    assert found is not None
    assert (str(found.prefix), str(found.containers)) == (prefix, containers)
    assert found.gateway.ip == found.prefix[1]
    assert found.address == found.prefix[2]


def test_overrides() -> None:
    docker_hosts = vms(vm("a", "prefix: '2001:db8:77:1:4000::/72', containers: '2001:db8:77:1:4080::/73'"))
    found = settings(site=SITE64, networks=RACK, docker_hosts=docker_hosts, hosts="hosts: {}").docker_machine("a")
    assert found is not None
    assert (str(found.gateway), str(found.address)) == ("2001:db8:77:1:4000::1/72", "2001:db8:77:1:4000::2")
    assert str(found.containers) == "2001:db8:77:1:4080::/73"


@hypothesis_settings(deadline=None)
@given(st.sets(st.integers(2, 0xFFF), min_size=2, max_size=40))
def test_no_two_indices_overlap(indices: set[int]) -> None:
    """4094 of them would do: 2 to 0xfff."""
    lines = [vm(f"v{n}", f"index: {n}", number) for number, n in enumerate(sorted(indices))]
    found = settings(site=SITE64, networks=RACK, docker_hosts=vms(*lines), hosts="")
    prefixes = [found.docker_prefix(name) or IPv6Network("::/0") for name in found.docker_hosts]
    assert all(a.broadcast_address < b.network_address for a, b in pairwise(prefixes))


def test_all_errors_at_once() -> None:
    lines = vms(vm("a", "index: 2"), vm("b", "index: 2", 3), vm("c", "index: 2", 4))
    found = report(config(site=SITE64, networks=RACK, docker_hosts=lines, hosts=""))
    assert [error.key for error in found.errors] == ["docker_hosts.b.index", "docker_hosts.c.index"]
