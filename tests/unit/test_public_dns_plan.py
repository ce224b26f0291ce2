"""Names for the outside: which addresses behind which uplink."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface
from types import MappingProxyType

from agent.config import Settings
from agent.desired.names import Record
from agent.model import Peer, PrefixMapping, State, UplinkIPv6
from agent.plan.firewall import plan_firewall
from tests.golden.firewall_cases import NOW, kpn, links, odido
from tests.unit.config.kit import settings

DNS = "dns: { public: { zone: dyn.example, server: 192.0.2.53, key_file: key } }"
HOSTS = "hosts: { nas: { network: home, ipv4: 10.10.0.5, suffix: '::5', public: nas.dyn.example } }"
FORWARDS = "forwards: { web: { tcp: 443, to: nas, uplinks: [kpn] } }"
KPN4, KPN6 = "192.0.2.2", "2001:db8:a100:10::5"


def found(config: Settings, **peers: Peer) -> set[Record]:
    """The records of the zone outside, with those peers."""
    state = State(synced=True, links=MappingProxyType(links("home", "dmz")), peers=MappingProxyType(peers))
    public = plan_firewall(config, state, NOW).names.public
    assert public is not None
    assert (public.zone, public.port, public.ttl, public.whole) == ("dyn.example", 53, 60, False)
    return set(public.records)


def config(**sections: str) -> Settings:
    return settings(**{"dns": DNS, "hosts": HOSTS, "forwards": FORWARDS, **sections})


def peers(settings: Settings) -> dict[str, Peer]:
    return {"kpn": kpn("02:00:00:00:99:0a", settings.site.prefix), "odido": odido("02:00:00:00:99:0b")}


def records(*addresses: str) -> set[Record]:
    return {Record("nas.dyn.example", "AAAA" if ":" in a else "A", a) for a in addresses}


def test_a_prefix_that_maps_and_a_forward_that_leads_there() -> None:
    one = config()
    assert found(one, **peers(one)) == records(KPN4, KPN6)


def test_an_uplink_that_is_down_or_unknown_has_no_addresses() -> None:
    one = config()
    both = peers(one)
    assert both["kpn"].link is not None
    down = replace(both["kpn"], link=replace(both["kpn"].link, carrier=False))
    assert found(one, kpn=down, odido=both["odido"]) == set()
    nothing = State(synced=True, links=MappingProxyType(links("home", "dmz")))
    assert plan_firewall(one, nothing, NOW).names.public is None, "what stands there may still be right"


def test_every_uplink_with_a_forward_has_its_address() -> None:
    one = config(forwards="forwards: { web: { tcp: 443, to: nas } }")
    assert found(one, **peers(one)) == records(KPN4, KPN6, "198.51.100.2")


def test_an_uplink_the_network_may_not_use_does_not_count() -> None:
    networks = """
        networks:
          home: { subnet: 0x10, ipv4: 10.10.0.0/24, uplinks: [odido] }
          dmz: { subnet: 0x99, ipv4: 10.99.0.0/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.19 } }
        """
    one = config(networks=networks, forwards="")
    assert found(one, **peers(one)) == set()


def test_a_network_by_network_mapping_is_followed() -> None:
    one = config()
    both = peers(one)
    inner = one.network_prefix("home")
    assert inner is not None
    assert both["kpn"].ipv6 is not None
    outer = next(iter(both["kpn"].delegations.values())).prefix
    third = list(outer.subnets(new_prefix=64))[3]
    mapped = UplinkIPv6("networks", both["kpn"].ipv6.addresses, mappings=(PrefixMapping(inner, third),))
    assert found(one, kpn=replace(both["kpn"], ipv6=mapped)) == records(KPN4, "2001:db8:a100:3::5")


def test_an_address_behind_another_nat_is_not_published_and_said() -> None:
    one = config()
    both = peers(one)
    assert both["kpn"].ipv4 is not None
    shared = replace(both["kpn"], ipv4=replace(both["kpn"].ipv4, address=IPv4Interface("100.64.0.2/24")))
    assert found(one, kpn=shared) == records(KPN6)
    state = State(synced=True, links=MappingProxyType(links("home", "dmz")), peers=MappingProxyType({"kpn": shared}))
    (problem,) = (p for p in plan_firewall(one, state, NOW).problems if p.part == "dns/public")
    assert "100.64.0.2" in problem.message
