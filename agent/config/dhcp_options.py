"""Options of DHCPv4 as the configuration writes them (RFC 2132): by name or number, each value in a form of its own.

They become bytes here: a server then needs no definition of its own, and a wrong value is found before it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from agent.config.addresses import parse_ipv4_address
from agent.config.base import MendError
from agent.config.fields import near
from agent.config.parse import show
from agent.config.texts import parse_domain

MOST_BYTES = 255  # RFC 2132 section 2
LAST_CODE = 254
ROUTERS, NAME_SERVERS, DOMAIN_NAME, NTP_SERVERS, SEARCH, ROUTES = 3, 6, 15, 42, 119, 121


@dataclass(frozen=True, slots=True)
class Option4:
    """An option of DHCPv4: its code and the bytes of its value."""

    code: int
    data: bytes


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _addresses(value: object) -> bytes:
    return b"".join(parse_ipv4_address(item).packed for item in _listed(value))


def _text(value: object) -> bytes:
    if not isinstance(value, str) or not value.isprintable():
        raise MendError(f"{show(value)} is not a text", "write a text; quote it when it looks like a number")
    return value.encode()


def _number(octets: int) -> Callable[[object], bytes]:
    most = (1 << 8 * octets) - 1

    def written(value: object) -> bytes:
        # The value of a form, `uint8:4`, is text.
        number = int(value) if isinstance(value, str) and value.isdecimal() and value.isascii() else value
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= most:
            raise MendError(f"{show(value)} is not a number of {octets} bytes", f"write 0 to {most}")
        return number.to_bytes(octets, "big")

    return written


def _hex(value: object) -> bytes:
    try:
        return bytes.fromhex(str(value).replace(":", ""))
    except ValueError:
        raise MendError(f"{show(value)} is not hexadecimal", "write pairs of hex digits, like hex:0a0b0c") from None


def labels(domain: str) -> bytes:
    """A domain as DNS writes it (RFC 1035 section 3.1), uncompressed."""
    return b"".join(bytes([len(label)]) + label.encode() for label in domain.split(".")) + b"\0"


def _domains(value: object) -> bytes:
    return b"".join(labels(parse_domain(item)) for item in _listed(value))


def _domain(value: object) -> bytes:
    return parse_domain(value).encode()


def encode_routes(routes: Iterable[tuple[IPv4Network, IPv4Address]]) -> bytes:
    """Option 121 (RFC 3442): per route the prefix length, its significant octets, the next hop."""
    data = b""
    for network, router in routes:
        octets = (network.prefixlen + 7) // 8
        data += bytes([network.prefixlen]) + network.network_address.packed[:octets] + router.packed
    return data


def _routes(value: object) -> bytes:
    found = []
    for item in _listed(value):
        words = item.partition(" via ") if isinstance(item, str) else ("", "", "")
        try:
            destination, router = words[0].strip(), words[2].strip()
            found.append((IPv4Network(destination), IPv4Address(router)))
        except ValueError:
            raise MendError(f"{show(item)} is not a route", "write it like 10.50.0.0/16 via 10.10.0.7") from None
    return encode_routes(found)


# RFC 2132, and 3397 (search), 3442 (routes), 4833 (time zones), 5859 (150), 8910 (captive portal), 8925 (IPv6 only).
_KNOWN: Mapping[str, tuple[int, Callable[[object], bytes]]] = {
    "routers": (ROUTERS, _addresses),
    "time-servers": (4, _addresses),
    "domain-name-servers": (NAME_SERVERS, _addresses),
    "log-servers": (7, _addresses),
    "lpr-servers": (9, _addresses),
    "domain-name": (DOMAIN_NAME, _domain),
    "root-path": (17, _text),
    "interface-mtu": (26, _number(2)),
    "nis-domain": (40, _text),
    "nis-servers": (41, _addresses),
    "ntp-servers": (NTP_SERVERS, _addresses),
    "vendor-encapsulated-options": (43, _hex),
    "netbios-name-servers": (44, _addresses),
    "netbios-node-type": (46, _number(1)),
    "tftp-server-name": (66, _text),
    "boot-file-name": (67, _text),
    "smtp-server": (69, _addresses),
    "pop-server": (70, _addresses),
    "www-server": (72, _addresses),
    "pcode": (100, _text),
    "tcode": (101, _text),
    "v6-only-preferred": (108, _number(4)),
    "captive-portal": (114, _text),
    "domain-search": (SEARCH, _domains),
    "classless-static-routes": (ROUTES, _routes),
    "tftp-server-address": (150, _addresses),
    "wpad-url": (252, _text),
}
_BY_CODE = dict(_KNOWN.values())
# The value of an option that no name stands for says its form.
_FORMS: Mapping[str, Callable[[object], bytes]] = {
    "text": _text,
    "hex": _hex,
    "uint8": _number(1),
    "uint16": _number(2),
    "uint32": _number(4),
    "ipv4": lambda value: _addresses([word.strip() for word in str(value).split(",")]),
}
# What the server itself says, or only a client does.
_NOT_OURS = frozenset({0, 1, 12, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 81, 82, 90, 118})


def _code(name: str) -> tuple[int, Callable[[object], bytes] | None]:
    if name in _KNOWN:
        return _KNOWN[name]
    if not (name.isdecimal() and name.isascii()):
        raise MendError(f"there is no option `{name}`", near(name, _KNOWN, "write its number, 1 to 254"))
    code = int(name)
    if not 1 <= code <= LAST_CODE:
        raise MendError(f"{code} is no option", f"write a number from 1 to {LAST_CODE}, or a name")
    if code in _NOT_OURS:
        raise MendError(f"option {code} is the server's own, or a client's", "delete it")
    return code, _BY_CODE.get(code)


def parse_option(name: str, value: object) -> Option4:
    """One option. Raises MendError: what is wrong, how to mend it."""
    code, form = _code(name)
    if form is None:
        word, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
        if not colon or word not in _FORMS:
            kinds = ", ".join(f"{known}:" for known in _FORMS)
            raise MendError(
                f"{show(value)} does not say what option {code} is made of", f"begin it with one of {kinds}"
            )
        data = _FORMS[word](rest.strip())
    else:
        data = form(value)
    if not 1 <= len(data) <= MOST_BYTES:
        raise MendError(f"the value of option {code} has {len(data)} bytes", f"write 1 to {MOST_BYTES} bytes")
    return Option4(code, data)
