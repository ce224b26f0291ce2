from __future__ import annotations

import pytest

from tests.unit.config.kit import config, expect, report, settings

SITE64 = "site: { name: rack, prefix: '2001:db8:77:1::/64' }"
V6 = "v6: { subnet: 0x20 }"
NETWORKS = """
    networks:
      home: { subnet: 0x10, ipv4: 10.10.0.0/24 }
      v4: { ipv4: 10.40.0.0/24 }
      v6: { subnet: 0x20 }
      dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
    """
RACK = """
    networks:
      vms: {}
      dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
    """


def host(line: str) -> str:
    return f"hosts:\n  x: {line} # here\n"


def vms(*lines: str) -> str:
    return "docker_hosts:\n" + "".join(f"  {line}\n" for line in lines)


def vm(name: str, index: str, mac: str = "02:00:00:00:00:02", network: str = "vms") -> str:
    return f'{name}: {{ network: {network}, index: {index}, mac: "{mac}" }}'


ERRORS = {
    "nowhere": (host("{ ipv4: 10.10.0.5 }"), "hosts.x", "neither `network` nor `docker_host`", "write one of the two"),
    "twice": (host("{ network: home, docker_host: a }"), "hosts.x", "both `network` and `docker_host`", "write one"),
    "unknown network": (host("{ network: hone }"), "hosts.x.network", "there is no network `hone`", "write `home`"),
    "unknown docker host": (
        host("{ docker_host: vm1 }"),
        "hosts.x.docker_host",
        "there is no docker host `vm1`",
        "there are no docker_hosts: add one",
    ),
    "network without ipv4": (
        host("{ network: v6, ipv4: 10.10.0.5 }"),
        "hosts.x.ipv4",
        "`v6` has no IPv4",
        "add `ipv4` to `v6`",
    ),
    "reservation outside": (
        host("{ network: home, ipv4: 10.11.0.5 }"),
        "hosts.x.ipv4",
        "10.11.0.5 is not in `home`, 10.10.0.0/24",
        "write an address of 10.10.0.0/24",
    ),
    "the firewall's": (
        host("{ network: home, ipv4: 10.10.0.1 }"),
        "hosts.x.ipv4",
        "the firewall's own address",
        "another address of 10.10.0.0/24",
    ),
    "broadcast": (
        host("{ network: home, ipv4: 10.10.0.255 }"),
        "hosts.x.ipv4",
        "its broadcast address",
        "another address",
    ),
    "an ingress's": (
        host("{ network: dmz, ipv4: 10.99.0.10 }"),
        "hosts.x.ipv4",
        "10.99.0.10 is kept for an ingress",
        "outside of the transit network's pool",
    ),
    "suffix too long": (
        host("{ network: home, suffix: 'fd4b:9ca2:1d70:10::5' }"),
        "hosts.x.suffix",
        "more than the low 64 bits",
        'like "::5"',
    ),
    "suffix of the firewall": (
        host("{ network: home, suffix: '::1' }"),
        "hosts.x.suffix",
        "the firewall's address",
        '"::5"',
    ),
    "suffix zero": (host("{ network: home, suffix: '::' }"), "hosts.x.suffix", "RFC 4291", '"::5"'),
    "suffix without subnet": (
        host("{ network: v4, suffix: '::5' }"),
        "hosts.x.suffix",
        "`v4` has no IPv6 prefix",
        "add `subnet` to `v4`",
    ),
    "one address": (
        "hosts:\n  a: { network: home, ipv4: 10.10.0.5 }\n  b: { network: home, ipv4: 10.10.0.5 } # here\n",
        "hosts.b.ipv4",
        "`b` and `a` have one address, 10.10.0.5",
        "its own",
    ),
    "one suffix": (
        "hosts:\n  a: { network: home, suffix: '::5' }\n  b: { network: home, suffix: '::5' } # here\n",
        "hosts.b.suffix",
        "`b` and `a` have one address, fd4b:9ca2:1d70:10::5",
        "its own",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    section, key, message, mend = ERRORS[case]
    expect(config(networks=NETWORKS, hosts=section), key, message, mend)


DOCKER_ERRORS = {
    "index 0": (vms(vm("a", "0") + " # here"), "", "docker_hosts.a.index", "0 is kept free", "write 0x2 to 0xfff"),
    "index 1": (vms(vm("a", "1") + " # here"), "", "docker_hosts.a.index", "1 is the uplink's own", "write 0x2"),
    "index too large": (
        vms(vm("a", "0x1000") + " # here"),
        "",
        "docker_hosts.a.index",
        "does not fit 12 bits",
        "0xfff",
    ),
    "one index": (
        vms(vm("a", "2"), vm("b", "2", mac="02:00:00:00:00:03") + " # here"),
        "",
        "docker_hosts.b.index",
        "`b` and `a` have one index, 0x2",
        "its own",
    ),
    "unknown network": (
        vms(vm("a", "2", network="vmz") + " # here"),
        "",
        "docker_hosts.a.network",
        "there is no network `vmz`",
        "write `vms`",
    ),
    "container with ipv4": (
        vms(vm("a", "2")),
        host("{ docker_host: a, ipv4: 10.10.0.5 }"),
        "hosts.x.ipv4",
        "reached by its IPv6 address alone",
        "delete `ipv4`",
    ),
    "container's suffix": (
        vms(vm("a", "2")),
        host("{ docker_host: a, suffix: '::1:0:0:0' }"),
        "hosts.x.suffix",
        "more than the low 48 bits",
        'like "::5"',
    ),
}


@pytest.mark.parametrize("case", DOCKER_ERRORS)
def test_docker_errors(case: str) -> None:
    docker_hosts, hosts, key, message, mend = DOCKER_ERRORS[case]
    expect(config(site=SITE64, networks=RACK, docker_hosts=docker_hosts, hosts=hosts), key, message, mend)


def test_a_host_on_a_docker_host_without_a_network_is_told_after_it() -> None:
    docker = vms(vm("a", "2", network="vmz"))
    found = report(config(site=SITE64, networks=RACK, docker_hosts=docker, hosts=host("{ docker_host: a }")))
    assert [error.key for error in found.errors] == ["docker_hosts.a.network", "hosts.x.docker_host"]
    assert found.errors[1].mend == "mend the docker host's `network` first"


def test_docker_hosts_in_a_network_of_others() -> None:
    networks = RACK.replace("vms: {}", "vms: {}\n      lan: { subnet: 0 }")
    text = config(site=SITE64, networks=networks, hosts="", docker_hosts=vms(vm("a", "2") + " # here"))
    expect(text, "docker_hosts.a.index", "the prefix of network `lan`", "delete `subnet` of `lan`")


def test_docker_host_on_the_uplinks_address() -> None:
    prefix = 'prefix: "2001:db8:77:1::/64"'
    ipv6 = f'{{ address: "2001:db8:77:1:20::1/76", gateway: "fe80::1", {prefix} }}'
    uplinks = f"uplinks: {{ s: {{ kind: static, ipv6: {ipv6} }} }}"
    text = config(site=SITE64, networks=RACK, hosts="", uplinks=uplinks, docker_hosts=vms(vm("a", "2") + " # here"))
    expect(text, "docker_hosts.a.index", "the address of uplink `s`", "another index")


def test_a_host_without_any_address_is_a_warning() -> None:
    text = config(hosts=host("{ network: home }"))
    expect(text, "hosts.x", "`x` has no address", "add `ipv4`, `suffix`", level="warning")


def test_addresses_of_a_host() -> None:
    found = settings()
    assert found.host_network("nas") == "home"
    assert str(found.host_address4("nas")) == "10.10.0.5"
    assert str(found.host_address6("nas")) == "fd4b:9ca2:1d70:10::5"
    assert found.host_address4("six") is None


def test_addresses_of_docker_hosts_and_containers() -> None:
    hosts = "hosts: { web: { docker_host: vmx, suffix: '::80' }, bare: { docker_host: vmx } }"
    found = settings(site=SITE64, networks=RACK, docker_hosts=vms(vm("vmx", "0x3e8")), hosts=hosts)
    assert str(found.docker_prefix("vmx")) == "2001:db8:77:1:3e80::/76"
    assert str(found.docker_gateway("vmx")) == "2001:db8:77:1:3e80::1/76"
    assert str(found.docker_address("vmx")) == "2001:db8:77:1:3e80::2"
    assert str(found.docker_containers("vmx")) == "2001:db8:77:1:3e81::/80"
    assert found.host_network("web") == "vms"
    assert str(found.host_address6("web")) == "2001:db8:77:1:3e81::80"
    assert found.host_address6("bare") is None
    assert found.role("vmx") == "docker-host"


def test_a_reservation_inside_the_pool_is_good() -> None:
    networks = NETWORKS.replace("ipv4: 10.10.0.0/24", "ipv4: 10.10.0.0/24, dhcp4: { pool: 10.10.0.2-10.10.0.99 }")
    assert settings(networks=networks, hosts="hosts: { a: { network: home, ipv4: 10.10.0.5 } }").hosts["a"].ipv4
