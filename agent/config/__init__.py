"""The configuration scheme, one noun per module. Attribute names are the YAML keys; `from` is `Rule.from_`.

Scalars are parsed: addresses are those of `ipaddress`, durations float seconds, MACs lower case, lists tuples.
Paths stay as written: `settings.path(x)` makes them relative to the configuration file.

| what the plans ask | it is |
|---|---|
| `Network.ipv4` | IPv4Interface of the firewall: 10.10.0.0/24 → 10.10.0.1/24; `Network.ipv4_network` its network |
| `Dhcp4.pool` | tuple of AddressRange(first, last), `in` and `.size`; `Dhcp4.lease` seconds |
| `Rule.ports`, `Forward.ports` | tuple of (protocol, first, last), empty = every protocol |
| `Rule.from_`, `Rule.to` | tuple of words; `Rule.families` (4, 6) |
| `Forward.mapped` | tuple of (protocol, first, last, to_first, to_last) |
| `uplink.kind` | the class too: PppoeUplink, DhcpUplink, StaticUplink, WireguardUplink (match on it) |
| `Settings.nodes`, `.role(node)` | firewall, uplinks, docker hosts; "ingress", "firewall", "docker-host" |
| `Settings.transit_name`, `.transit` | the transit network's name and itself; None only where there is no uplink |
| `Settings.network_prefix(name)` | its internal /64: IPv6Network or None; `.firewall_address6(name)` is ::1/64 there |
| `Settings.networks_by_priority()` | who takes a /64 of an ISP's prefix, first served first |
| `Settings.uplinks_of(network)` | its uplinks, best first; `.uplinks_by_priority()` all of them |
| `Settings.delegation_hint(uplink)` | prefix length to ask for, None: no request |
| `Settings.host_network(name)`, `.host_address4(name)`, `.host_address6(name)` | of a host, containers included |
| `Settings.docker_prefix/docker_gateway/docker_address/docker_containers(name)` | /76, ::1/76, ::2, /80 |
| `Settings.uplinks_of_forward(name)`, `.forwards_of(uplink)` | where a forward is open |
| `Settings.base_dir`, `.path(path)` | the file's directory, a path relative to it |

`load(path, environ)` gives the settings or raises `ConfigError`; `check(path, environ)` the report for people;
`config_digest(settings)` the fingerprint nodes compare. `agent.config.schema.schema()` is the JSON Schema: it stands
apart because it costs imports that no router needs.
"""

from agent.config.addresses import AddressRange
from agent.config.base import MendError, Noun
from agent.config.bus import Bus, Tls
from agent.config.dhcp import Dhcp4, Dhcp6
from agent.config.digest import config_digest
from agent.config.dns import Dns, Forwarder
from agent.config.finding import ConfigError, Finding
from agent.config.firewall import Firewall
from agent.config.forward import Forward, Mapped
from agent.config.host import DockerHost, Host, MayExpose
from agent.config.interface import Interface
from agent.config.loader import load, load_file
from agent.config.log import Log
from agent.config.network import Network
from agent.config.ports import PortRange, Ports
from agent.config.probe import Probe
from agent.config.report import CheckReport, check, render_findings
from agent.config.rule import Rule
from agent.config.settings import ANY, FIREWALL, INTERNET, Role, Settings
from agent.config.site import Site
from agent.config.texts import Endpoint
from agent.config.unused import UnusedKey, unused_keys
from agent.config.uplink import (
    AnyUplink,
    DhcpUplink,
    DynamicIPv6,
    Peer,
    PppoeUplink,
    StaticIPv4,
    StaticIPv6,
    StaticUplink,
    TunnelIPv6,
    WireguardUplink,
)

__all__ = [
    "ANY",
    "FIREWALL",
    "INTERNET",
    "AddressRange",
    "AnyUplink",
    "Bus",
    "CheckReport",
    "ConfigError",
    "Dhcp4",
    "Dhcp6",
    "DhcpUplink",
    "Dns",
    "DockerHost",
    "DynamicIPv6",
    "Endpoint",
    "Finding",
    "Firewall",
    "Forward",
    "Forwarder",
    "Host",
    "Interface",
    "Log",
    "Mapped",
    "MayExpose",
    "MendError",
    "Network",
    "Noun",
    "Peer",
    "PortRange",
    "Ports",
    "PppoeUplink",
    "Probe",
    "Role",
    "Rule",
    "Settings",
    "Site",
    "StaticIPv4",
    "StaticIPv6",
    "StaticUplink",
    "Tls",
    "TunnelIPv6",
    "UnusedKey",
    "WireguardUplink",
    "check",
    "config_digest",
    "load",
    "load_file",
    "render_findings",
    "unused_keys",
]
