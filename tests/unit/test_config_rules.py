from __future__ import annotations

import pytest

from agent.config import PortRange
from tests.unit.config.kit import config, expect, settings


def rule(line: str) -> str:
    return f"rules:\n  - {{ {line} }} # here\n"


def forwards(*lines: str) -> str:
    return "forwards:\n" + "".join(f"  {line}\n" for line in lines)


VMS = 'docker_hosts: { vm1: { network: home, index: 2, mac: "02:00:00:00:00:02" } }'
TLS = "bus: { host: a, port: 8883, tls: { ca_file: a, cert_file: c, key_file: k }, password_file: p, users_file: u }"
RULE_ERRORS = {
    "unknown uplink": (
        rule("from: home, to: internet, action: accept, via: kpnn"),
        "rules[0].via",
        "there is no uplink `kpnn`",
        "write `kpn`",
    ),
    "via and only": (
        rule("from: home, to: internet, action: accept, via: kpn, only: kpn"),
        "rules[0].via",
        "`via` and `only` in one rule",
        "keep `only`",
    ),
    "an uplink for what stays inside": (
        rule("from: home, to: firewall, action: accept, only: kpn"),
        "rules[0].only",
        "`only` in a rule that lets nothing out",
        "write `to: internet` and `action: accept`",
    ),
    "unknown zone": (
        rule("from: hone, to: internet, action: accept"),
        "rules[0].from[0]",
        "there is no network or host `hone`",
        "write `home`",
    ),
    "nothing like it": (
        rule("from: home, to: [internet, qqq], action: accept"),
        "rules[0].to[1]",
        "`qqq`",
        "write one of home, dmz, nas, six, bare, internet, firewall, any",
    ),
    "no address at all": (
        rule("from: internet, to: bare, action: accept"),
        "rules[0].to[0]",
        "`bare` has no address that this rule could match",
        "add `ipv4` or `suffix` to the host",
    ),
    "no IPv4": (
        rule("from: home, to: six, family: ipv4, action: accept"),
        "rules[0].to[0]",
        "`six` has no address",
        "add `ipv4` to the host",
    ),
}
HOSTS = "hosts: { nas: { network: home, ipv4: 10.10.0.5 }, six: { network: home, suffix: '::6' } }"


@pytest.mark.parametrize("case", RULE_ERRORS)
def test_rule_errors(case: str) -> None:
    section, key, message, mend = RULE_ERRORS[case]
    hosts = HOSTS[:-1] + ", bare: { network: home } }"
    expect(config(rules=section, hosts=hosts), key, message, mend)


def test_a_rule_may_not_name_a_docker_host() -> None:
    text = config(docker_hosts=VMS, bus=TLS, rules=rule("from: vm1, to: internet, action: accept"))
    expect(text, "rules[0].from[0]", "`vm1` is a docker host, not a zone", "its network, or a host that lives on it")


def test_pinholes_need_a_suffix() -> None:
    text = config(hosts=HOSTS, rules=rule("from: internet, to: nas, family: ipv6, tcp: 443, action: accept"))
    expect(text, "rules[0].to[0]", "`nas` has no address", "add `suffix` to the host")


def test_words_and_ports_of_a_rule() -> None:
    line = "from: home, to: [firewall, nas], udp: 53, tcp: [80, 8000-8010], action: accept"
    (found,) = settings(rules=rule(line)).rules
    assert (found.from_, found.to) == (("home",), ("firewall", "nas"))
    assert found.ports == (("tcp", 80, 80), ("tcp", 8000, 8010), ("udp", 53, 53))
    assert found.tcp == (PortRange(80, 80), PortRange(8000, 8010))
    assert (found.families, found.log) == ((4, 6), False)


@pytest.mark.parametrize(("family", "versions"), [("ipv4", (4,)), ("ipv6", (6,))])
def test_one_family(family: str, versions: tuple[int, ...]) -> None:
    (found,) = settings(rules=rule(f"from: home, to: any, family: {family}, action: drop")).rules
    assert (found.families, found.ports) == (versions, ())


FORWARD_ERRORS = {
    "no ports": (forwards("web: { to: nas } # here"), "forwards.web", "without ports", "add `tcp: …`"),
    "no host": (forwards("web: { tcp: 443, to: nass } # here"), "forwards.web.to", "`nass` is no host", "write `nas`"),
    "a network": (
        forwards("web: { tcp: 443, to: home } # here"),
        "forwards.web.to",
        "`home` is a network, not a host",
        "write one of nas, six",
    ),
    "host without IPv4": (
        forwards("web: { tcp: 443, to: six } # here"),
        "forwards.web.to",
        "`six` has no IPv4 address to forward to",
        "add `ipv4` to `hosts.six`",
    ),
    "several ports to one": (
        forwards("web: { tcp: [80, 443], to: nas, to_port: 8080 } # here"),
        "forwards.web.to_port",
        "one `to_port` for several ports",
        "a forward for each",
    ),
    "range runs over": (
        forwards("web: { udp: 27000-27050, to: nas, to_port: 65500 } # here"),
        "forwards.web.to_port",
        "would end inside at port 65550",
        "write at most 65485",
    ),
    "unknown uplink": (
        forwards("web: { tcp: 443, to: nas, uplinks: [kpm] } # here"),
        "forwards.web.uplinks[0]",
        "there is no uplink `kpm`",
        "write `kpn`",
    ),
    "from nobody known": (
        forwards("web: { tcp: 443, to: nas, from: [home, hone] } # here"),
        "forwards.web.from[1]",
        "there is no network or list `hone`",
        "write `home`",
    ),
    "from IPv6": (
        forwards('web: { tcp: 443, to: nas, from: "2001:db8::/32" } # here'),
        "forwards.web.from[0]",
        "`2001:db8::/32` is not IPv4",
        "write a rule from internet",
    ),
    "from an address with host bits": (
        forwards("web: { tcp: 443, to: nas, from: 192.0.2.1/24 } # here"),
        "forwards.web.from[0]",
        "has host bits set",
        "write 192.0.2.0/24",
    ),
    "claimed twice": (
        forwards("a: { tcp: 8000-8100, to: nas, uplinks: [kpn] }", "b: { tcp: [22, 8050], to: nas } # here"),
        "forwards.b.tcp",
        "tcp 8050 is claimed by `a` too, at uplink `kpn`",
        "one forward, or different `uplinks`",
    ),
    "claimed twice in one": (
        forwards("a: { tcp: [8000-8100, 8050], to: nas, uplinks: [kpn] } # here"),
        "forwards.a.tcp",
        "tcp 8050 is claimed twice here",
        "one forward",
    ),
}


@pytest.mark.parametrize("case", FORWARD_ERRORS)
def test_forward_errors(case: str) -> None:
    section, key, message, mend = FORWARD_ERRORS[case]
    expect(config(forwards=section), key, message, mend)


def test_one_port_at_two_uplinks_or_for_two_protocols_is_good() -> None:
    lines = (
        "a: { tcp: 53, to: nas, uplinks: [kpn] }",
        "b: { tcp: 53, to: nas, uplinks: [odido] }",
        "c: { udp: 53, to: nas }",
    )
    found = settings(forwards=forwards(*lines))
    assert set(found.forwards_of("kpn")) == {"a", "c"}
    assert set(found.forwards_of("odido")) == {"b", "c"}
    assert found.uplinks_of_forward("c") == ("kpn", "odido")


def test_ranges_keep_their_width_inside() -> None:
    found = settings(
        forwards=forwards("a: { udp: 27000-27050, tcp: 443, to: nas, to_port: 8000 }", "b: { tcp: [1, 2], to: nas }")
    )
    assert found.forwards["a"].mapped == (("tcp", 443, 443, 8000, 8000), ("udp", 27000, 27050, 8000, 8050))
    assert found.forwards["b"].mapped == (("tcp", 1, 1, 1, 1), ("tcp", 2, 2, 2, 2))
    assert found.forwards["a"].ports == (("tcp", 443, 443), ("udp", 27000, 27050))


def test_a_rule_names_an_uplink_that_its_network_may_use() -> None:
    text = config(
        rules=rule("from: home, to: internet, udp: 5060, action: accept, via: odido"),
        networks="""
            networks:
              home: { subnet: 0x10, ipv4: 10.10.0.0/24, uplinks: [kpn] }
              dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
            """,
    )
    expect(text, "rules[0].via", "`home` may not use the uplink `odido`", "add `odido` to `networks.home.uplinks`")
    (found,) = settings(rules=rule("from: home, to: internet, udp: 5060, action: accept, via: odido")).rules
    assert found.uplink == "odido"
