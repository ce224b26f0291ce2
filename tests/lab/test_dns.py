"""Names inside, with real daemons and real resolvers: named, Kea and its D2, dhcpcd, dig, getaddrinfo."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab import bind920
from tests.lab.dns_world import FIREWALL4, FIREWALL6, PLAIN, DnsWorld, dig, wait_data
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.uplinks_world import config
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab
HOSTS = "  printer: { network: home, ipv4: 10.10.0.6 }\n"
# More than the journal has room for in a page that it has already.
MANY = "".join(f'  h{n}: {{ network: home, ipv4: 10.10.0.{n}, suffix: "::{n}" }}\n' for n in range(20, 99))


@pytest.fixture(scope="module")
def world() -> Iterator[DnsWorld]:
    with DnsWorld() as world:
        wait_data(world.laptop, "nas.home.arpa", "A", "10.10.0.5")
        yield world


def test_a_client_is_told_the_firewall_and_resolves_names_outside_with_a_proof(world: DnsWorld) -> None:
    lease = world.laptop.output(["dhcpcd", "-U", "-4", "eth0"])
    assert f"domain_name_servers={FIREWALL4}\n" in lease.replace("'", "")
    assert "domain_name=home.arpa" in lease.replace("'", "")
    advertised = world.firewall.path("/run/router/etc/radvd.conf").read_text()
    assert f"RDNSS {FIREWALL6} {{" in advertised
    for server in (FIREWALL4, FIREWALL6):
        answer = dig(world.laptop, "internet.example", "AAAA", server)
        assert answer.data == (INTERNET6,)
        assert "ad" in answer.flags, "authenticated by DNSSEC"
    assert dig(world.laptop, "internet.example", "A", FIREWALL4, "+tcp").data == (INTERNET4,)


def test_the_c_library_resolves_by_search_list_and_both_families(world: DnsWorld) -> None:
    world.laptop.path("/etc/resolv.conf").write_text(f"nameserver {FIREWALL6}\nsearch home.arpa\n")
    assert world.resolved("www.example") == {INTERNET4, INTERNET6}
    assert world.resolved("nas") == {"10.10.0.5", "fd4b:9ca2:1d70:10::5"}


def test_an_answer_that_is_forged_is_none(world: DnsWorld) -> None:
    assert dig(world.laptop, "bogus.example").status == "SERVFAIL"
    assert dig(world.laptop, "bogus.example", "A", FIREWALL4, "+cd").data == (INTERNET4,)


def test_a_name_outside_cannot_point_inside_unless_its_domain_may(world: DnsWorld) -> None:
    for name, kind in (("rebind.example", "A"), ("rebind6.example", "AAAA"), ("nas.corp.example", "A")):
        assert dig(world.laptop, name, kind).data == ()
    world.load(world.config((PLAIN, f"{PLAIN}\n  private_domains: [corp.example]")))
    wait_data(world.laptop, "nas.corp.example", "A", "10.20.30.40")
    assert dig(world.laptop, "rebind.example").data == ()
    world.load(world.config())


def test_internal_reverse_zones_and_special_names_are_never_asked_outside(world: DnsWorld) -> None:
    asked = ("5.1.168.192.in-addr.arpa", "1.0.16.172.in-addr.arpa", "x.home.arpa", "x.local", "1.d.f.ip6.arpa")
    for name in asked:
        assert dig(world.laptop, name, "PTR").status == "NXDOMAIN", name
    heard = world.nodes["internet"].log("names")
    assert [name for name in asked if f"query: {name}" in heard] == []


def test_only_networks_whose_rules_say_so_are_answered(world: DnsWorld) -> None:
    wait_data(world.phone, "internet.example", "A", INTERNET4, server="10.20.0.1")
    rule = "from: [home, guest, iot], to: firewall, udp: 53"
    world.load(world.config((rule, "from: [home, iot], to: firewall, udp: 53")))
    assert dig(world.phone, "internet.example", "A", "10.20.0.1", "+time=1").status == "none"
    assert "10.20.0.1" not in world.firewall.path("/run/router/etc/named.conf").read_text()
    wait_for(lambda: "10.20.0.1:53" not in world.firewall.output(["ss", "-lnu"]), 10, "named to leave guest")
    assert dig(world.nodes["kpn"], "internet.example", "A", "10.99.0.1", "+time=1").status == "none", "nor is the DMZ"
    world.load(world.config())
    wait_data(world.phone, "internet.example", "A", INTERNET4, server="10.20.0.1")


def test_hosts_of_the_configuration_have_names_and_lose_them_with_it(world: DnsWorld) -> None:
    for address, name in (("10.10.0.5", "nas"), ("fd4b:9ca2:1d70:10::5", "nas"), ("10.20.0.1", "firewall")):
        assert world.name_of(address) == f"{name}.home.arpa."
    world.load(world.config((HOSTS, '  scanner: { network: home, ipv4: 10.10.0.7, suffix: "::7" }\n')))
    wait_data(world.laptop, "scanner.home.arpa", "AAAA", "fd4b:9ca2:1d70:10::7")
    wait_data(world.laptop, "printer.home.arpa", "A")
    assert world.name_of("10.10.0.7") == "scanner.home.arpa."
    assert world.name_of("10.10.0.6") == ""
    world.load(world.config())
    wait_data(world.laptop, "printer.home.arpa", "A", "10.10.0.6")


@pytest.mark.rfc("4703", "DDNS")
@pytest.mark.rfc("2136", "update")
def test_a_lease_is_a_name_over_restarts_until_it_ends(world: DnsWorld) -> None:
    address = world.called("laptop")
    wait_data(world.laptop, "laptop.home.arpa", "A", address)
    assert world.name_of(address) == "laptop.home.arpa."
    assert dig(world.laptop, "laptop.home.arpa", "DHCID").data, "RFC 4701: whose name it is"
    world.restart("named")
    assert dig(world.laptop, "laptop.home.arpa").data == (address,), "known from the journal"
    before = dig(world.laptop, "home.arpa", "SOA").data
    leased = world.laptop.log("dhcpcd").count("leased")
    world.laptop.run(["dhcpcd", "-n", "eth0"])
    wait_for(lambda: world.laptop.log("dhcpcd").count("leased") > leased, 20, "the lease to be renewed")
    world.hosts_again()
    assert dig(world.laptop, "home.arpa", "SOA").data == before, "a renewal takes no name away for a moment"
    assert dig(world.laptop, "laptop.home.arpa").data == (address,), "names of hosts do not touch those of leases"
    world.laptop.run(["dhcpcd", "-k", "eth0"])
    wait_data(world.phone, "laptop.home.arpa", "A", server="10.20.0.1")
    assert dig(world.phone, address.split(".")[3] + ".0.10.10.in-addr.arpa", "PTR", "10.20.0.1").data == ()
    world.called("laptop")


@pytest.mark.rfc("4703", "DDNS")
def test_a_lease_that_nobody_renews_loses_its_name(world: DnsWorld) -> None:
    pool = "dhcp4: { pool: 10.20.0.50-10.20.0.250 }"
    world.load(world.config((pool, "dhcp4: { pool: 10.20.0.50-10.20.0.250, lease: 3s }")))
    address = world.called("phone")
    wait_data(world.laptop, "phone.home.arpa", "A", address)
    world.phone.run(["pkill", "-9", "dhcpcd"])
    wait_data(world.laptop, "phone.home.arpa", "A", timeout=60)
    assert world.name_of(address) == ""
    world.load(world.config())
    world.called("phone")


@pytest.mark.rfc("4703", "conflict")
def test_no_client_takes_the_name_of_a_host_or_one_that_is_kept_free(world: DnsWorld) -> None:
    for name, kind, data in (("nas", "A", "10.10.0.5"), ("wpad", "TXT", '"kept free"')):
        before = world.refusals()
        world.called("laptop", name)
        wait_for(lambda before=before: world.refusals() > before, 20, "D2 to be refused")  # type: ignore[misc]
        assert dig(world.laptop, f"{name}.home.arpa", kind).data == (data,)
    assert dig(world.laptop, "wpad.home.arpa").data == ()
    world.called("laptop")


@pytest.mark.rfc("2136", "TSIG")
def test_who_has_no_key_changes_nothing_and_copies_nothing(world: DnsWorld) -> None:
    update = f"server {FIREWALL4}\nzone home.arpa\nupdate add evil.home.arpa 60 A 10.10.0.66\nsend\n"
    for node in (world.laptop, world.firewall):
        assert "REFUSED" in node.run(["nsupdate"], stdin=update, check=False).stderr
    assert dig(world.laptop, "evil.home.arpa").status == "NXDOMAIN"
    assert "Transfer failed" in world.laptop.run(["dig", f"@{FIREWALL4}", "home.arpa", "AXFR"], check=False).stdout
    state = world.firewall.path("/var/lib/router/named")
    assert all((state / f"ddns.{end}").stat().st_mode & 0o777 == 0o600 for end in ("key", "json"))
    secret = json.loads((state / "ddns.json").read_text())["secret"]
    assert secret not in world.logs("firewall")
    processes = world.firewall.path("/proc")
    told = [(process / "cmdline").read_bytes() for process in processes.iterdir() if process.name.isdigit()]
    assert told
    assert not any(secret.encode() in words for words in told)


def test_questions_are_logged_where_the_configuration_says(world: DnsWorld) -> None:
    dig(world.laptop, "quiet.example")
    world.load(world.config((PLAIN, f"{PLAIN}\n  log: true")))
    wait_for(lambda: dig(world.laptop, "loud.example") and "loud.example" in world.logs("firewall"), 10, "a line")
    assert "quiet.example" not in world.logs("firewall")
    world.load(world.config())


def test_some_networks_do_not_get_some_names(world: DnsWorld) -> None:
    listed = world.firewall.path("/etc/router/listed.zone")
    listed.write_text("$TTL 60\n@ SOA a. b. 1 60 60 60 60\n@ NS localhost.\nquad9.net CNAME .\n*.quad9.net CNAME .\n")
    blocks = (
        "  blocks:\n    ads: { networks: [guest], names: [www.example] }\n"
        "    listed: { networks: guest, file: listed.zone }"
    )
    world.load(world.config((PLAIN, f"{PLAIN}\n{blocks}")))
    for name in ("www.example", "below.www.example", "dns.quad9.net"):
        wait_for(lambda name=name: dig(world.phone, name, "A", "10.20.0.1").status == "NXDOMAIN", 20, name)  # type: ignore[misc]
        assert dig(world.phone, name, "A", "10.20.0.1", "+dnssec").status == "NXDOMAIN"
    assert dig(world.phone, "internet.example", "A", "10.20.0.1").data == (INTERNET4,), "all else"
    assert dig(world.phone, "nas.home.arpa", "A", "10.20.0.1").data == ("10.10.0.5",), "and names inside"
    assert INTERNET4 in dig(world.laptop, "www.example").data, "another network gets it"
    address = world.called("phone")
    wait_data(world.laptop, "phone.home.arpa", "A", address)
    listed.write_text("no zone\n")
    world.try_load(world.config((PLAIN, f"{PLAIN}\n  cache: 32\n{blocks}")))
    wait_for(lambda: "named.conf refused" in world.said(), 20, world.said)
    assert dig(world.phone, "www.example", "A", "10.20.0.1").status == "NXDOMAIN", "the last good one runs"
    world.load(world.config())
    wait_data(world.phone, "dns.quad9.net", "A", "9.9.9.9", server="10.20.0.1")


# --- faults ---


@pytest.mark.skipif(bind920.installed(), reason="this machine's named has forwarders over TLS")
def test_a_named_without_tls_is_said_and_asks_nobody(world: DnsWorld) -> None:
    world.load(config())
    assert "cannot ask forwarders over TLS" in world.said()
    wait_for(lambda: dig(world.laptop, "untold.example").status == "REFUSED", 10, "named to have read it")
    assert dig(world.laptop, "refused.example").status == "REFUSED"
    assert dig(world.laptop, "nas.home.arpa").data == ("10.10.0.5",)
    assert "query: refused.example" not in world.nodes["internet"].log("names")
    world.load(world.config())


def test_a_zone_that_cannot_be_loaded_is_put_aside_and_made_anew(world: DnsWorld) -> None:
    address = world.called("laptop")
    wait_data(world.laptop, "laptop.home.arpa", "A", address)
    state = world.firewall.path("/var/lib/router/named")
    world.services["firewall"].dinitctl("stop", "named")
    (state / "home.arpa.zone").write_text("this is no zone\n")
    (state / "home.arpa.zone.jnl").write_bytes(b"nor a journal")
    world.services["firewall"].dinitctl("start", "named")
    world.ctl("reload")
    world.hosts_again()
    wait_data(world.laptop, "nas.home.arpa", "A", "10.10.0.5", timeout=60)
    assert "home.arpa.zone.broken could not be loaded and was put aside" in world.said()
    world.on_the_bus("dns", "put aside")
    wait_data(world.laptop, "laptop.home.arpa", "A", address)
    for path in state.glob("*.broken"):
        path.unlink()
    wait_for(lambda: "put aside" not in world.said(), 10, "the problem to go with the file")


def test_a_text_that_named_refuses_changes_nothing(world: DnsWorld) -> None:
    refusing = world.firewall.path("/run/refusing")
    refusing.write_text("#!/bin/sh\necho 'named.conf:7: unknown option'\nexit 1\n")
    refusing.chmod(0o755)
    world.firewall.run(["mount", "--bind", "/run/refusing", "/usr/bin/named-checkconf"])
    try:
        world.try_load(world.config((PLAIN, f"{PLAIN}\n  cache: 32")))
        wait_for(lambda: "named.conf refused: named.conf:7: unknown option" in world.said(), 10, world.said)
        world.on_the_bus("daemons", "named.conf refused")
        assert dig(world.laptop, "internet.example").data == (INTERNET4,)
    finally:
        world.firewall.run(["umount", "/usr/bin/named-checkconf"])
        world.try_load(world.config())
    wait_for(lambda: "refused" not in world.said(), 40, world.said)


def test_a_full_disk_is_said_and_what_is_known_is_answered(world: DnsWorld) -> None:
    state = "/var/lib/router/named"
    world.services["firewall"].dinitctl("stop", "named")
    world.firewall.run(["mkdir", "/run/small"])
    world.firewall.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=750", "none", "/run/small"])
    world.firewall.run(["cp", "-a", f"{state}/.", "/run/small"])
    world.firewall.run(["chown", "bind:bind", "/run/small"])
    world.firewall.run(["mount", "--move", "/run/small", state])
    world.services["firewall"].dinitctl("start", "named")
    wait_data(world.laptop, "nas.home.arpa", "A", "10.10.0.5")
    full = world.firewall.path(f"{state}/full")
    try:
        world.firewall.run(["dd", "if=/dev/zero", f"of={state}/full", "bs=4k"], check=False)
        world.try_load(world.config((HOSTS, HOSTS + MANY)))
        wait_for(lambda: "SERVFAIL" in world.said(), 40, world.said)
        world.on_the_bus("dns.home.arpa", "SERVFAIL")
        world.try_load(world.config(("domain: home.arpa", "domain: other.home.arpa")))
        wait_for(lambda: "no space left" in world.said(), 20, world.said)
        assert dig(world.laptop, "nas.home.arpa").data == ("10.10.0.5",), "the last good zones are served"
        assert dig(world.laptop, "internet.example").data == (INTERNET4,)
        world.try_load(world.config((HOSTS, HOSTS + MANY)))
    finally:
        full.unlink(missing_ok=True)
    wait_data(world.laptop, "h90.home.arpa", "A", "10.10.0.90", timeout=70)
    world.try_load(world.config())
    wait_for(lambda: world.said() == "", 70, world.said)
