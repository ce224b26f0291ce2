"""DHCP of the whole router, with dhcpcd as the client: options, addresses, prefixes for routers downstream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from tests.lab.capture import Capture
from tests.lab.dhcp_client import Client, address_behind, behind
from tests.lab.dhcp_world import (
    HOME,
    LEASES,
    POOL,
    SERVE,
    configuration,
    delegated,
    leases,
    problems,
    reaches,
    routed,
    status,
)
from tests.lab.lab import Lab
from tests.lab.topology import KPN_PREFIX, mac
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    nodes = ("kpn", "kpn-isp", "internet", "firewall", "laptop", "nas", "phone")
    with Lab(nodes=nodes, config=configuration()) as lab:
        lab.start_isps("kpn")
        # A disk of its own, which a test fills.
        lab.nodes["firewall"].run(["mkdir", "-p", LEASES])
        lab.nodes["firewall"].run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0750", "tmpfs", LEASES])
        lab.start_router()
        behind(lab.nodes["laptop"])
        yield lab


@pytest.fixture(scope="module")
def laptop(lab: Lab) -> Iterator[Client]:
    client = Client(lab.nodes["laptop"], "interface eth0", "ipv6rs", "ia_na 1", "ia_pd 2/::/60 -")
    client.start()
    yield client
    client.stop()


def test_a_host_is_given_the_options_of_the_configuration(laptop: Client) -> None:
    given = laptop.given("BOUND")
    assert IPv4Address("10.10.0.100") <= IPv4Address(given["ip_address"]) <= IPv4Address("10.10.0.149")
    assert given["ntp_servers"] == "10.10.0.5 10.10.0.6"
    assert given["interface_mtu"] == "1480"
    # Who is given routes heeds no router beside them (RFC 3442): the default route is among them.
    assert given["classless_static_routes"] == "10.50.0.0/16 10.10.0.7 0.0.0.0/0 10.10.0.1"
    assert given["domain_search"] == "lan.example home.arpa"
    assert given["domain_name"] == "home.arpa"
    assert given["domain_name_servers"] == "10.10.0.1"


@pytest.mark.rfc("7084", "L-8")
@pytest.mark.rfc("7084", "L-10")
def test_a_network_with_addresses_by_dhcpv6(lab: Lab, laptop: Client) -> None:
    given = laptop.given("BOUND6")
    address = IPv6Address(given["dhcp6_ia_na1_ia_addr1"])
    assert HOME[0x10000] <= address <= HOME[0x1FFFF]
    assert given["dhcp6_name_servers"] == "fd4b:9ca2:1d70:10::1"
    assert given["dhcp6_domain_search"].rstrip(".") == "home.arpa"
    assert str(address) in laptop.node.addresses("eth0", 6)
    (lease,) = [lease for lease in leases(lab.nodes["firewall"])["home"] if lease.get("address") == str(address)]
    assert 3000 < lease["left"] <= 3600


@pytest.mark.rfc("7084", "L-9")
def test_the_flags_of_the_advertisements_follow(lab: Lab) -> None:
    for name, flags in (("laptop", 0xC0), ("phone", 0x40)):  # M and O; O alone (RFC 4861 section 4.2)
        node = lab.nodes[name]
        with Capture(node, "eth0", lambda p: p.protocol == "icmp6" and p.kind == 134) as capture:
            node.run(["ping", "-c1", "-W1", "ff02::2%eth0"], check=False)
            lab.nodes["firewall"].run(["dinitctl", "signal", "HUP", "radvd"])
            seen = capture.wait(lambda _: True, 15)
        assert seen.data[14 + 40 + 5] & 0xC0 == flags, name


@pytest.mark.rfc("8415", "Information-request")
def test_a_network_with_options_by_dhcpv6(lab: Lab) -> None:
    client = Client(lab.nodes["phone"], "ipv6only", "interface eth0", "ipv6rs")
    client.start()
    try:
        given = client.given("INFORM6")
        assert given["dhcp6_name_servers"] == "fd4b:9ca2:1d70:20::1"
        assert given["dhcp6_domain_search"].rstrip(".") == "home.arpa"
        assert given.get("dhcp6_info_refresh_time") == "3600"
    finally:
        client.stop()


@pytest.mark.rfc("8415", "IA_NA")
def test_a_host_of_the_configuration_gets_its_suffix_by_its_mac(lab: Lab) -> None:
    client = Client(lab.nodes["nas"], "ipv6only", "interface eth0", "ipv6rs", "ia_na 1")
    client.start()
    try:
        assert client.given("BOUND6")["dhcp6_ia_na1_ia_addr1"] == str(HOME[5])
    finally:
        client.stop()


@pytest.mark.rfc("8415", "IA_PD")
def test_a_router_downstream_is_delegated_a_prefix_that_reaches_the_internet_translated(
    lab: Lab, laptop: Client
) -> None:
    prefix = delegated(lab, laptop)
    assert IPv6Network(prefix).subnet_of(POOL)
    source = address_behind(laptop.node, prefix)
    wait_for(lambda: reaches(lab, source), 20, "the host behind to reach the internet")
    outside = IPv6Address(int(IPv6Network(KPN_PREFIX).network_address) | int(IPv6Address(source)) & (1 << 80) - 1)
    with Capture(lab.nodes["internet"], "eth0", lambda p: p.protocol == "icmp6" and p.kind == 128) as capture:
        assert reaches(lab, source)
        assert capture.wait(lambda _: True, 5).source == str(outside), "1:1, host bits and subnet stay"
    # And from outside: what a rule opens.
    server = laptop.node.popen(["ip", "netns", "exec", "behind", "python3", "-c", SERVE])
    connect = f"import socket; socket.create_connection(('{outside}', 443), 1)"
    internet = lab.nodes["internet"]
    wait_for(lambda: internet.run(["python3", "-c", connect], check=False).returncode == 0, 15, "inbound by the rule")
    assert internet.run(["python3", "-c", connect.replace("443", "22")], check=False).returncode != 0
    server.kill()
    server.wait()


def test_what_was_not_delegated_is_no_source_and_unreachable(lab: Lab, laptop: Client) -> None:
    foreign = "fd4b:9ca2:1d70:20::77"
    node = laptop.node
    node.run(["ip", "-n", "behind", "addr", "replace", f"{foreign}/128", "dev", "eth0", "nodad"])
    assert not reaches(lab, foreign), "another network's address is no source here"
    unused = next(p for p in POOL.subnets(new_prefix=60) if str(p) != delegated(lab, laptop))
    said = lab.nodes["nas"].run(["ping", "-c1", "-W2", str(unused[1])], check=False)
    assert said.returncode != 0


def test_the_way_to_a_delegated_prefix_outlives_the_agent_and_kea(lab: Lab, laptop: Client) -> None:
    prefix = delegated(lab, laptop)
    source = address_behind(laptop.node, prefix)
    wait_for(lambda: reaches(lab, source), 20, "the host behind to reach the internet")
    firewall = lab.nodes["firewall"]
    firewall.run(["dinitctl", "stop", "kea-dhcp6"])
    firewall.run(["dinitctl", "restart", "router-agent"])
    lab.services["firewall"].wait_started()
    assert routed(lab, prefix)
    assert reaches(lab, source)
    wait_for(lambda: lab.services["firewall"].is_started("kea-dhcp6"), 20, "kea-dhcp6 again")


def test_leases_are_shown_and_told_where_the_configuration_wishes_it(lab: Lab, laptop: Client) -> None:
    firewall = lab.nodes["firewall"]
    prefix, address = delegated(lab, laptop), laptop.given("BOUND")["ip_address"]
    shown = leases(firewall)["home"]
    assert {address, prefix} <= {lease.get("address") or lease.get("prefix") for lease in shown}
    mine = next(lease for lease in shown if lease.get("address") == address)
    assert mine["mac"] == mac("laptop", "eth0")
    text = firewall.output(["routerctl", "leases", "home"])
    assert address in text
    assert max(map(len, text.splitlines())) <= 100
    assert firewall.run(["routerctl", "leases", "attic"], check=False).returncode == 1
    facts = status(firewall)["facts"]
    assert "leases/guest" not in facts, "nobody asked for it"
    assert address in {lease["leased"] for lease in facts["leases/home"]["leases"]}


def test_a_broken_row_is_said_and_harms_nobody(lab: Lab, laptop: Client) -> None:
    firewall = lab.nodes["firewall"]
    prefix = delegated(lab, laptop)
    file = firewall.path(f"{LEASES}/dhcp6.leases")
    with file.open("a") as stream:
        stream.write("fd4b:9ca2:1d70:10::zz,half a li\n")
    wait_for(lambda: "dhcp6.leases: line" in problems(firewall), 10, lambda: problems(firewall))
    firewall.run(["dinitctl", "restart", "kea-dhcp6"])
    wait_for(lambda: lab.services["firewall"].is_started("kea-dhcp6"), 20, "kea-dhcp6 with a broken row")
    assert routed(lab, prefix)
    text = file.read_text()
    file.write_text("".join(line + "\n" for line in text.splitlines() if "half" not in line))
    wait_for(lambda: "dhcp6.leases" not in problems(firewall), 10, lambda: problems(firewall))


def test_a_broken_lease_file_is_said_and_what_was_delegated_stays(lab: Lab, laptop: Client) -> None:
    firewall, services = lab.nodes["firewall"], lab.services["firewall"]
    prefix = delegated(lab, laptop)
    source = address_behind(laptop.node, prefix)
    file = firewall.path(f"{LEASES}/dhcp6.leases")
    firewall.run(["dinitctl", "stop", "kea-dhcp6"])
    good = file.read_text()
    file.with_name("junk").write_bytes(b"\0" * 300 + b"\n")
    file.with_name("junk").replace(file)
    firewall.run(["dinitctl", "start", "kea-dhcp6"], check=False)
    wait_for(lambda: "dhcp6.leases is no lease file" in problems(firewall), 10, lambda: problems(firewall))
    topic = ["mosquitto_sub", "-V", "5", "-h", "10.98.0.1", "-u", "observer", "-P", "secret-of-observer", "-C", "1"]
    told = firewall.output([*topic, "-W", "10", "-t", "backstage/1/home/firewall/status/leases"])
    assert "move it away" in json.loads(told)["hint"]
    assert routed(lab, prefix)
    assert reaches(lab, source)
    file.write_text(good)
    wait_for(lambda: "lease file" not in problems(firewall), 10, lambda: problems(firewall))
    wait_for(lambda: services.is_started("kea-dhcp6"), 30, "kea-dhcp6 with its file again")
    assert routed(lab, prefix)


def test_a_full_disk_is_said_and_what_is_leased_goes_on(lab: Lab, laptop: Client) -> None:
    firewall = lab.nodes["firewall"]
    source = address_behind(laptop.node, delegated(lab, laptop))
    firewall.run(["dd", "if=/dev/zero", f"of={LEASES}/filler", "bs=4k"], check=False)
    wait_for(lambda: "is full: new leases are not kept" in problems(firewall), 10, lambda: problems(firewall))
    client = Client(lab.nodes["phone"], "ipv4only", "interface eth0")
    client.start()
    try:
        wait_for(lambda: "soliciting a DHCP lease" in client.node.log("dhcpcd"), 10, "the phone to ask")
        assert reaches(lab, source)
        firewall.run(["rm", f"{LEASES}/filler"])
        given = client.given("BOUND", timeout=60)
        assert given["ip_address"].startswith("10.20.0.")
        wait_for(lambda: "is full" not in problems(firewall), 10, lambda: problems(firewall))
        wait_for(lambda: given["ip_address"] in firewall.output(["routerctl", "leases", "guest"]), 10, "it is kept")
    finally:
        client.stop()


@pytest.mark.rfc("8415", "renew")
def test_a_prefix_stays_while_it_is_renewed_and_goes_with_a_router_that_goes(lab: Lab) -> None:
    firewall = lab.nodes["firewall"]

    def left() -> int:
        return next((lease["left"] for lease in leases(firewall).get("guest", []) if "prefix" in lease), 0)

    def way() -> bool:
        return "via fe80::" in firewall.output(["ip", "-6", "route", "show", "root", "fd4b:9ca2:1d70:fec0::/58"])

    client = Client(lab.nodes["phone"], "ipv6only", "interface eth0", "noipv6rs", "ia_pd 2/::/62 -")
    client.start()
    try:
        client.given("BOUND6")
        wait_for(way, 10, "the route")
        client.given("RENEW6")  # at T1, half of the lease
        wait_for(lambda: left() > 5, 10, "a lease that is longer again")
        assert way()
    finally:
        client.stop()
    wait_for(lambda: not way(), 30, "the route gone with the lease")
    assert not left()


@pytest.mark.rfc("8415", "IA_PD")
def test_a_prefix_that_is_given_back_loses_its_route(lab: Lab, laptop: Client) -> None:
    prefix = delegated(lab, laptop)
    laptop.release()
    try:
        wait_for(lambda: not routed(lab, prefix), 15, "the route gone")
        held = lab.nodes["firewall"]
        wait_for(lambda: not [le for le in leases(held).get("home", []) if "prefix" in le], 10, "no lease of it")
    finally:
        laptop.start()
    assert routed(lab, delegated(lab, laptop))
