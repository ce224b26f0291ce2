"""Services by name: what a rule's `service: ssh` means. The one table of them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from agent.config.base import MendError, as_names
from agent.config.parse import show
from agent.config.ports import Ports

# Service → protocol and ports, as IANA registers them (service names and port numbers, RFC 6335) or the software's
# manual says. A service of both protocols opens both.
_TABLE: Mapping[str, str] = {
    "bgp": "tcp 179",
    "dhcp": "udp 67",
    "dhcpv6": "udp 547",
    "dns": "tcp 53, udp 53",
    "dns-over-tls": "tcp 853",
    "ftp": "tcp 21",
    "git": "tcp 9418",
    "http": "tcp 80",
    "http3": "udp 443",
    "https": "tcp 443",
    "imap": "tcp 143",
    "imaps": "tcp 993",
    "iperf3": "tcp 5201, udp 5201",
    "ipp": "tcp 631",
    "ipsec": "udp 500, udp 4500",
    "irc": "tcp 6667",
    "ircs": "tcp 6697",
    "kerberos": "tcp 88, udp 88",
    "ldap": "tcp 389",
    "ldaps": "tcp 636",
    "mdns": "udp 5353",
    "minecraft": "tcp 25565",
    "mqtt": "tcp 1883",
    "mqtts": "tcp 8883",
    "mysql": "tcp 3306",
    "nfs": "tcp 2049",
    "ntp": "udp 123",
    "openvpn": "udp 1194",
    "pop3": "tcp 110",
    "pop3s": "tcp 995",
    "postgresql": "tcp 5432",
    "printer": "tcp 9100",
    "prometheus": "tcp 9090",
    "rdp": "tcp 3389, udp 3389",
    "redis": "tcp 6379",
    "rsync": "tcp 873",
    "rtsp": "tcp 554",
    "sip": "tcp 5060, udp 5060",
    "sips": "tcp 5061",
    "smb": "tcp 445",
    "smtp": "tcp 25",
    "smtps": "tcp 465",
    "snmp": "udp 161",
    "snmp-trap": "udp 162",
    "ssdp": "udp 1900",
    "ssh": "tcp 22",
    "stun": "tcp 3478, udp 3478",
    "submission": "tcp 587",
    "syslog": "udp 514",
    "telnet": "tcp 23",
    "tftp": "udp 69",
    "vnc": "tcp 5900",
    "wireguard": "udp 51820",
    "xmpp": "tcp 5222",
}


def _entry(text: str) -> tuple[Ports, ...]:
    words = (part.split() for part in text.split(","))
    return tuple(Ports(protocol, int(port), int(port)) for protocol, port in words)


SERVICES: Mapping[str, tuple[Ports, ...]] = MappingProxyType({name: _entry(text) for name, text in _TABLE.items()})


def parse_services(value: object) -> tuple[str, ...]:
    """One service or a list of them, as names of `SERVICES`."""
    names = as_names(value)
    if not isinstance(names, tuple) or not names:
        raise MendError(f"{show(value)} is no service", "write a name like https, or a list [ssh, https]")
    for name in names:
        if not isinstance(name, str) or name not in SERVICES:
            found = get_close_matches(str(name).lower(), SERVICES, n=1, cutoff=0.6)
            otherwise = "write its ports instead (`tcp: 8080`); docs/configuration.md lists the services"
            raise MendError(f"there is no service {show(name)}", f"write `{found[0]}`" if found else otherwise)
    return names


_NAME = {"type": "string", "enum": sorted(SERVICES)}
ServiceNames: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(parse_services),
    WithJsonSchema(
        {
            "anyOf": [_NAME, {"type": "array", "items": _NAME, "minItems": 1}],
            "description": "a service or a list",
        }
    ),
]
