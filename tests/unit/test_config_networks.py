from __future__ import annotations

import pytest

from tests.unit.config.kit import config, expect, settings

DMZ = "dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }"


def networks(*lines: str, dmz: str = DMZ) -> str:
    return "networks:\n" + "".join(f"  {line}\n" for line in (dmz, *lines) if line)


def bad(**sections: str) -> str:
    """A configuration without hosts, which would complain of other networks too."""
    return config(**({"hosts": ""} | sections))


@pytest.mark.parametrize(
    ("text", "key", "message", "mend"),
    [
        pytest.param(
            bad(networks=networks("a: { ipv4: 10.10.0.0/16 }", "home: { ipv4: 10.10.3.0/24, subnet: 1 } # here")),
            "networks.home.ipv4",
            "10.10.3.0/24 overlaps 10.10.0.0/16, network `a`",
            "do not overlap",
            id="networks overlap",
        ),
        pytest.param(
            bad(
                networks=networks("home: { ipv4: 192.0.2.0/24, subnet: 1 } # here"),
                uplinks="uplinks: { s: { kind: static, ipv4: { address: 192.0.2.136/26, gateway: 192.0.2.129 } } }",
            ),
            "networks.home.ipv4",
            "overlaps 192.0.2.128/26, the network of uplink `s`",
            "do not overlap",
            id="overlaps an uplink",
        ),
        pytest.param(
            bad(networks=networks("home: { ipv4: 10.10.0.0/24, addressing: both } # here")),
            "networks.home.addressing",
            "`addressing: both` on a network without `subnet`",
            "add `subnet: 0x…`",
            id="global addresses without a number",
        ),
        pytest.param(
            bad(networks=networks("dmz: { subnet: 1, transit: true, addressing: global } # here", dmz="")),
            "networks.dmz.addressing",
            "internal addresses only",
            "delete it",
            id="global addresses on the DMZ",
        ),
        pytest.param(
            bad(networks=networks("home: { subnet: 0x10 }", "guest: { subnet: 16 } # here")),
            "networks.guest.subnet",
            "`guest` and `home` have one subnet, 0x10",
            "a number of its own",
            id="subnet twice",
        ),
        pytest.param(
            bad(networks=networks("home: { subnet: 0x10000 } # here")),
            "networks.home.subnet",
            "0x10000 does not fit into fd4b:9ca2:1d70::/48, which has 65536 /64s",
            "write 0x0 to 0xffff",
            id="subnet too large",
        ),
        pytest.param(
            bad(
                site="site: { name: test, prefix: 'fd00::/64' }",
                networks=networks("home: { subnet: 1, ipv4: 10.10.0.0/24 } # here"),
            ),
            "networks.home.subnet",
            "has 1 /64s",
            "write 0x0 for the one /64 there is",
            id="one /64",
        ),
        pytest.param(
            bad(
                networks=networks(
                    "home: { subnet: 1, ipv4: 10.10.0.0/24, dhcp4: { pool: 10.11.0.1-10.11.0.9 } } # here"
                )
            ),
            "networks.home.dhcp4.pool",
            "not inside 10.10.0.0/24",
            "choose addresses of 10.10.0.0/24",
            id="pool outside",
        ),
        pytest.param(
            bad(
                networks=networks(
                    "home: { subnet: 1, ipv4: 10.10.0.0/24, dhcp4: { pool: 10.10.0.1-10.10.0.9 } } # here"
                )
            ),
            "networks.home.dhcp4.pool",
            "holds 10.10.0.1, the firewall's address",
            "ADDRESS/24",
            id="pool holds the firewall",
        ),
        pytest.param(
            bad(
                networks=networks(
                    "home: { subnet: 1, ipv4: 10.10.0.0/24, dhcp4: { pool: 10.10.0.9-10.10.0.255 } } # here"
                )
            ),
            "networks.home.dhcp4.pool",
            "its broadcast address",
            "stay between 10.10.0.1 and 10.10.0.254",
            id="pool holds the broadcast address",
        ),
        pytest.param(
            bad(networks=networks("home: { subnet: 1, dhcp4: { pool: 10.10.0.2-10.10.0.9 } } # here")),
            "networks.home.dhcp4",
            "DHCPv4 without an IPv4 network",
            "add `ipv4: …`",
            id="dhcp4 without ipv4",
        ),
        pytest.param(
            bad(
                networks=networks(
                    "home: { subnet: 1, ipv4: 10.10.0.0/24, dhcp4: { pool: 10.10.0.2-10.10.0.9, lease: 10ms } } # here"
                )
            ),
            "networks.home.dhcp4.lease",
            "no client can hold",
            "like 12h",
            id="lease too short",
        ),
        pytest.param(
            bad(networks=networks("home: { ipv4: 10.10.0.0/24, dhcp6: { mode: stateful } } # here")),
            "networks.home.dhcp6.mode",
            "without an IPv6 prefix",
            "add `subnet: 0x…`",
            id="stateful without subnet",
        ),
        pytest.param(
            bad(networks=networks("home: { ipv4: 10.10.0.0/24, subnet: 1, dhcp6: { delegate: 48 } } # here")),
            "networks.home.dhcp6.delegate",
            "a /48 cannot be delegated out of",
            "write 49 to 64",
            id="delegates too much",
        ),
        pytest.param(
            bad(networks=networks("home: { ipv4: 10.10.0.0/24, subnet: 1, uplinks: [kpn, odidoo] } # here")),
            "networks.home.uplinks[1]",
            "there is no uplink `odidoo`",
            "write `odido`",
            id="unknown uplink",
        ),
        pytest.param(
            bad(networks=networks("home: { ipv4: 10.10.0.0/24, subnet: 1, uplinks: [kpn, kpn] } # here")),
            "networks.home.uplinks[1]",
            "listed twice",
            "delete one",
            id="uplink twice",
        ),
        pytest.param(
            bad(networks="networks: # here\n  home: { ipv4: 10.10.0.0/24, subnet: 1 }"),
            "networks",
            "no network is the transit network",
            "`transit: true`",
            id="no transit",
        ),
        pytest.param(
            bad(networks=networks("home: { ipv4: 10.10.0.0/24, subnet: 1, transit: true } # here")),
            "networks.home.transit",
            "`home` and `dmz` are both the transit network",
            "at one network",
            id="two transits",
        ),
        pytest.param(
            bad(
                networks=networks(
                    "home: { ipv4: 10.10.0.0/24, subnet: 1 }", dmz="dmz: { ipv4: 10.99.0.0/24, transit: true } # here"
                )
            ),
            "networks.dmz",
            "get their IPv4 addresses here by DHCP",
            "at least 2 addresses",
            id="transit without dhcp4",
        ),
        pytest.param(
            bad(
                networks=networks(
                    "home: { ipv4: 10.10.0.0/24, subnet: 1 }",
                    dmz="dmz: { ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.10 } } # here",
                )
            ),
            "networks.dmz.dhcp4.pool",
            "1 addresses for 2 uplinks",
            "widen the pool",
            id="transit pool too small",
        ),
    ],
)
def test_errors(text: str, key: str, message: str, mend: str) -> None:
    expect(text, key, message, mend)


def test_a_network_without_addresses_is_a_warning() -> None:
    text = bad(networks=networks("home: { subnet: 1, ipv4: 10.10.0.0/24 }", "empty: {} # here"))
    expect(text, "networks.empty", "has neither `ipv4` nor `subnet`", "add one", level="warning")


def test_defaults_and_what_follows_from_them() -> None:
    found = settings()
    home = found.networks["home"]
    assert str(home.ipv4) == "10.10.0.1/24"
    assert str(home.ipv4_network) == "10.10.0.0/24"
    assert (home.vlan, home.interface, home.addressing, home.dhcp6.mode) == (None, None, "internal", "none")
    assert str(found.network_prefix("home")) == "fd4b:9ca2:1d70:10::/64"
    assert str(found.firewall_address6("home")) == "fd4b:9ca2:1d70:10::1/64"
    assert found.transit_name == "dmz"
    assert found.transit is found.networks["dmz"]
    assert found.networks_by_priority() == ("home",)
    assert found.uplinks_of("home") == found.uplinks_of("dmz") == ("kpn", "odido")


def test_the_firewall_takes_the_address_written() -> None:
    found = settings(networks=networks("home: { subnet: 1, ipv4: 10.10.0.254/24 }"))
    assert str(found.networks["home"].ipv4) == "10.10.0.254/24"


def test_networks_take_prefixes_by_priority_then_by_name() -> None:
    lines = ("c: { subnet: 1 }", "b: { subnet: 2, priority: 5 }", "a: { subnet: 3 }", "v4: { ipv4: 10.1.0.0/24 }")
    assert settings(networks=networks(*lines), hosts="").networks_by_priority() == ("b", "a", "c")


def test_a_list_of_uplinks_is_exhaustive() -> None:
    found = settings(
        networks=networks(
            "home: { subnet: 1, ipv4: 10.10.0.0/24, uplinks: [odido] }", "off: { subnet: 2, uplinks: [] }"
        )
    )
    assert found.uplinks_of("home") == ("odido",)
    assert found.uplinks_of("off") == ()


def test_the_transit_network_never_uses_a_tunnel() -> None:
    tunnel = """
        vpn:
          kind: wireguard
          private_key_file: k
          addresses: [10.64.0.2/32]
          peer: { public_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.51.100.7:51820" }
          priority: 1
        """
    found = settings(uplinks="uplinks:\n  kpn: { kind: dhcp }\n  " + tunnel.strip().replace("\n        ", "\n  "))
    assert found.uplinks_of("home") == ("vpn", "kpn")
    assert found.uplinks_of("dmz") == ("kpn",)
