"""What a probe asks: an address that answers ping, or a URL of TCP, DNS or HTTP."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import PlainValidator

from agent.config.addresses import parse_address
from agent.config.base import MendError
from agent.config.parse import parsed, show, text_schema
from agent.config.ports import port_number
from agent.config.texts import parse_domain
from agent.desired.probe import Target
from agent.model import IPAddress

_DNS_PORT = 53
_HTTP_PORTS = {"http": 80, "https": 443}
_PATH = re.compile(r"/[!-~]*")
_EXAMPLES = (
    'an address like 9.9.9.9 or "2620:fe::fe", or a URL: "tcp://9.9.9.9:443", "dns://9.9.9.9/example.com", '
    '"https://example.com/generate_204"'
)


def parse_target(value: object) -> Target:
    """An address, `tcp://ADDRESS:PORT`, `dns://ADDRESS/NAME`, `http://HOST/PATH` or `https://HOST/PATH`."""
    if isinstance(value, str) and "://" not in value:
        try:
            return Target("echo", parse_address(value))
        except MendError:
            raise MendError(f"{show(value)} is no target", f"write {_EXAMPLES}") from None
    return parsed(value, (Target,), _url, "a target", _EXAMPLES)


def _url(text: str) -> Target:
    parts = urlsplit(text)  # ValueError: an open bracket, say
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise MendError(f"`{text}` has more than host, port and path", f"write {_EXAMPLES}")
    match parts.scheme:
        case "tcp":
            if parts.path or ":" not in parts.netloc.rpartition("]")[2]:
                raise ValueError(text)
            return Target("tcp", _address(text, parts), _port(parts, 0))
        case "dns":
            name = parse_domain(parts.path.removeprefix("/"))
            return Target("dns", _address(text, parts), _port(parts, _DNS_PORT), name=name)
        case "http" | "https":
            return _http(parts)
    raise ValueError(text)


def _http(parts: SplitResult) -> Target:
    host = parts.hostname or ""
    address = _maybe_address(host)
    path = parts.path or "/"
    if not _PATH.fullmatch(path):
        raise ValueError(path)
    if address is None:
        host = parse_domain(host)
    port = _port(parts, _HTTP_PORTS[parts.scheme])
    return Target("http", address, port, host=host, path=path, tls=parts.scheme == "https")


def _maybe_address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _address(text: str, parts: SplitResult) -> IPAddress:
    address = _maybe_address(parts.hostname or "")
    if address is None:
        message = f"`{text}` has no address: a name would have to be looked up before the probe"
        raise MendError(message, f"write {_EXAMPLES}")
    return address


def _port(parts: SplitResult, default: int) -> int:
    text = parts.netloc.rpartition("]")[2].partition(":")[2]
    return port_number(text) if text else default


ProbeTarget: TypeAlias = Annotated[
    Target,
    PlainValidator(parse_target),
    text_schema("an address, or tcp://ADDRESS:PORT, dns://ADDRESS/NAME, http(s)://HOST/PATH"),
]
