"""Pure rendering: a value of `desired` in, text out; sorted, deterministic, no clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.desired import ConfigFile, Document, Ruleset, Table
from agent.desired.advertise import RadvdConfig
from agent.desired.broker import MosquittoAcl, MosquittoConfig
from agent.desired.dhcp4 import KeaDhcp4Config
from agent.desired.dhcp6 import KeaDhcp6Config
from agent.desired.dns import BlockZone, KeaD2Config, NamedConfig
from agent.desired.firewall import FirewallTable
from agent.desired.ingress import DhcpcdConfig, IngressTable, PppPeer, PppSecrets, WireguardConfig
from agent.desired.log import UlogdConfig
from agent.render.dhcpcd import render_dhcpcd
from agent.render.kea import render_kea_dhcp4
from agent.render.kea_d2 import render_kea_d2
from agent.render.kea_dhcp6 import render_kea_dhcp6
from agent.render.mosquitto import render_mosquitto, render_mosquitto_acl
from agent.render.named import render_block_zone, render_named
from agent.render.nft_firewall import render_firewall
from agent.render.nft_ingress import render_ingress
from agent.render.ppp import render_ppp_peer, render_ppp_secrets
from agent.render.radvd import render_radvd
from agent.render.ulogd import render_ulogd
from agent.render.wireguard import render_wireguard

# One renderer per kind of value: a new kind adds its line here.
_RULESETS: dict[type[Table], Callable[[Any], Ruleset]] = {
    FirewallTable: render_firewall,
    IngressTable: render_ingress,
    Table: lambda _: Ruleset(""),  # a docker host has none
}
_FILES: dict[type[Document], Callable[[Any], ConfigFile]] = {
    DhcpcdConfig: render_dhcpcd,
    KeaDhcp4Config: render_kea_dhcp4,
    KeaDhcp6Config: render_kea_dhcp6,
    MosquittoAcl: render_mosquitto_acl,
    MosquittoConfig: render_mosquitto,
    KeaD2Config: render_kea_d2,
    BlockZone: render_block_zone,
    NamedConfig: render_named,
    PppPeer: render_ppp_peer,
    PppSecrets: render_ppp_secrets,
    RadvdConfig: render_radvd,
    UlogdConfig: render_ulogd,
    WireguardConfig: render_wireguard,
}


def render_ruleset(table: Table) -> Ruleset:
    """The nftables rules of a container. KeyError for a table of no known role."""
    return _RULESETS[type(table)](table)


def render_file(document: Document) -> ConfigFile:
    """A generated file. KeyError for a document of no known kind."""
    return _FILES[type(document)](document)
