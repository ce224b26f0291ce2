"""The other scalars of the configuration: names, keys, paths, durations.

Each parser raises `MendError`: what is wrong, how to mend it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import PlainValidator

from agent.config.base import MendError
from agent.config.parse import parsed, show, text_schema
from agent.config.ports import port_number

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")

_DUID = re.compile(r"([0-9a-f]{2}){3,130}")

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

_INTERFACE_NAME = re.compile(r"[^\s/:%\"']{1,15}")

_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")

_DOMAIN_LENGTH = 253

_GROUP_BIT = 1  # of the first byte (IEEE 802)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host (a name or an address) and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_duration(value: object) -> float:
    """Seconds, from a number with a unit: ms s m h d."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise MendError(f"{show(value)} has no unit", f"write it with one of {' '.join(UNITS)}, like {value}s")
    matched = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise MendError(f"{show(value)} is not a duration", "write a number and a unit (ms s m h d), like 300ms or 12h")
    # By division for ms: 300 * 0.001 is not 0.3.
    number = float(matched[1])
    return number / 1000 if matched[2] == "ms" else number * UNITS[matched[2]]


def duration_text(seconds: float) -> str:
    """A duration as people write it: the largest unit that leaves a whole number."""
    for unit, worth in reversed(UNITS.items()):
        if seconds >= worth and (seconds / worth).is_integer():
            return f"{int(seconds / worth)}{unit}"
    return f"{round(seconds * 1000)}ms"


def parse_mac(value: object) -> str:
    """A MAC address, made lower case; a group address is no address of a device."""
    if not isinstance(value, str) or not _MAC.fullmatch(value):
        raise MendError(f"{show(value)} is not a MAC address", 'write six hex bytes like "02:00:00:00:10:05"')
    if int(value[:2], 16) & _GROUP_BIT or not int(value.replace(":", ""), 16):
        raise MendError(f"`{value}` is not the address of one device", "write the permanent MAC address of the device")
    return value.lower()


def parse_duid(value: object) -> str:
    """A DHCP unique identifier (RFC 8415 section 11) as lower case hex with colons; `routerctl leases` shows it."""
    digits = value.replace(":", "").lower() if isinstance(value, str) else ""
    if not _DUID.fullmatch(digits):
        raise MendError(
            f"{show(value)} is not a DUID", 'write 3 to 130 bytes in hex, like "00:03:00:01:02:00:00:00:10:05"'
        )
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))


def parse_label(value: object) -> str:
    """A DNS label that is also a level of a bus topic."""
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise MendError(f"{show(value)} is not a name of a-z 0-9 -", "write a short name like home")
    return value


def parse_domain(value: object) -> str:
    """A DNS domain in lower case, without the last dot."""
    text = value.rstrip(".").lower() if isinstance(value, str) else ""
    if not text or len(text) > _DOMAIN_LENGTH or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise MendError(f"{show(value)} is not a domain", "write it like home.arpa")
    return text


def parse_interface_name(value: object) -> str:
    """A name the kernel takes for a network device."""
    if not isinstance(value, str) or not _INTERFACE_NAME.fullmatch(value) or value in {".", ".."}:
        raise MendError(
            f"{show(value)} is not the name of a network interface", "write at most 15 characters, like eth0"
        )
    return value


def parse_text(value: object) -> str:
    """A text that is not empty and has no control characters (it goes into a daemon's file)."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise MendError(
            f"{show(value)} is not a text", "write a text without line breaks; quote it when it looks like a number"
        )
    return value


def parse_key(value: object) -> str:
    """A WireGuard key: 32 bytes in base64."""
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise MendError("this is not a WireGuard key", "write the 44 characters that `wg pubkey` prints, in quotes")
    return value


def parse_path(value: object) -> Path:
    """A path; relative ones are relative to the configuration file (`Settings.path`)."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or not value.isprintable():
        raise MendError(f"{show(value)} is not a path", "write it like /run/secrets/bus_password")
    return Path(value)


def parse_endpoint(value: object) -> Endpoint:
    """`HOST:PORT`, an IPv6 address in brackets."""

    def parse(text: str) -> Endpoint:
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = str(IPv6Address(host[1:-1]))
        elif not host or ":" in host:
            raise ValueError(text)
        return Endpoint(parse_text(host), port_number(port))

    return parsed(
        value, (Endpoint,), parse, "a host and a port", 'it like "198.51.100.7:51820" or "[2001:db8::1]:51820"'
    )


Duration: TypeAlias = Annotated[
    float,
    PlainValidator(parse_duration),
    text_schema("a duration (ms s m h d)", pattern=f"^{_DURATION.pattern}$"),
]
Mac: TypeAlias = Annotated[
    str, PlainValidator(parse_mac), text_schema("a MAC address", pattern="^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$")
]
Duid: TypeAlias = Annotated[str, PlainValidator(parse_duid), text_schema("a DHCP unique identifier in hex")]
Label: TypeAlias = Annotated[
    str, PlainValidator(parse_label), text_schema("a name of a-z 0-9 -", pattern=f"^{_LABEL.pattern}$")
]
Domain: TypeAlias = Annotated[str, PlainValidator(parse_domain), text_schema("a DNS domain")]
InterfaceName: TypeAlias = Annotated[
    str,
    PlainValidator(parse_interface_name),
    text_schema("an interface's name", maxLength=15),
]
Text: TypeAlias = Annotated[str, PlainValidator(parse_text), text_schema("a text", minLength=1)]
Key: TypeAlias = Annotated[str, PlainValidator(parse_key), text_schema("a WireGuard key", pattern=f"^{_KEY.pattern}$")]
FilePath: TypeAlias = Annotated[Path, PlainValidator(parse_path), text_schema("a path")]
EndpointText: TypeAlias = Annotated[Endpoint, PlainValidator(parse_endpoint), text_schema("HOST:PORT")]
