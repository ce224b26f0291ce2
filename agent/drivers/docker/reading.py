"""The engine's JSON as values: what is not understood is left out, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address
from typing import Any

from agent.model import Attachment, EngineContainer, PortSpan

LABEL = "router.expose"
_MODE = "com.docker.network.bridge.gateway_mode_ipv6"
_MAX_PORT = 65535


def read_modes(document: Any) -> Mapping[str, str]:
    """`GET /networks`: id → how the engine forwards IPv6 there, as its option has it."""
    return {
        _text(network, "Id"): _text(_object(network, "Options"), _MODE)
        for network in _objects(document)
        if _text(network, "Id")
    }


def read_containers(document: Any, modes: Mapping[str, str]) -> tuple[EngineContainer, ...]:
    """`GET /containers/json`: those that run, by name."""
    found = [_container(entry, modes) for entry in _objects(document)]
    return tuple(sorted((c for c in found if c.name), key=lambda container: container.name))


def read_published(document: Any) -> tuple[PortSpan, ...]:
    """`GET /containers/<id>/json`: the ports that are published for IPv6, of either of its two lists.

    In routed mode there is no port of the host: engines name such a port in some of their lists only
    (github.com/moby/moby/issues/53692), `HostConfig` of all of them.
    """
    both = (
        _object(_object(document, "HostConfig"), "PortBindings"),
        _object(_object(document, "NetworkSettings"), "Ports"),
    )
    found = {span for ports in both for key, bindings in ports.items() for span in _published(key, bindings)}
    return tuple(sorted(found))


def _container(entry: Mapping[str, Any], modes: Mapping[str, str]) -> EngineContainer:
    names = entry.get("Names")
    # The shortest: a link gives a container further names, each below another container's.
    texts = sorted((n for n in names if isinstance(n, str)), key=len) if isinstance(names, list) else []
    labels = _object(entry, "Labels")
    label = labels.get(LABEL)
    networks = _object(_object(entry, "NetworkSettings"), "Networks")
    return EngineContainer(
        id=_text(entry, "Id"),
        name=texts[0].removeprefix("/") if texts else "",
        attachments=tuple(
            Attachment(name, _address(value), modes.get(_text(value, "NetworkID"), ""))
            for name, value in sorted(networks.items())
            if isinstance(value, dict)
        ),
        expose=label if isinstance(label, str) else None,
    )


def _published(key: str, bindings: object) -> Iterator[PortSpan]:
    port, _, protocol = key.partition("/")
    if not isinstance(bindings, list) or protocol not in {"tcp", "udp"} or not (port.isascii() and port.isdigit()):
        return
    hosts = [_text(binding, "HostIp") for binding in bindings if isinstance(binding, dict)]
    # No address is every address; 0.0.0.0 is every IPv4 address, and no IPv6.
    if any(not host or ":" in host for host in hosts) and 1 <= int(port[:6]) <= _MAX_PORT:
        yield PortSpan("tcp" if protocol == "tcp" else "udp", int(port), int(port))


def _address(network: Mapping[str, Any]) -> IPv6Address | None:
    try:
        return IPv6Address(_text(network, "GlobalIPv6Address"))
    except ValueError:
        return None


def _objects(document: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(document, list):
        yield from (entry for entry in document if isinstance(entry, dict))


def _object(document: Any, key: str) -> Mapping[str, Any]:
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _text(document: Mapping[str, Any], key: str) -> str:
    found = document.get(key)
    return found if isinstance(found, str) else ""
