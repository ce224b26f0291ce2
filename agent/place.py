"""Where an agent lives, and what the settings mean for a driver there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent import __version__
from agent.config import PppoeUplink, Settings, config_digest
from agent.desired.lists import ListSource
from agent.drivers.bus import BusConfig, BusTls
from agent.model import NodeInfo
from agent.nodes import FIREWALL, node_error

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent lives: its node and its directories, from the environment."""

    node: str
    config: Path
    state: Path
    run: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Place:
        """Read ROUTER_NODE, ROUTER_CONFIG, ROUTER_STATE_DIR, ROUTER_RUN_DIR. Raises ConfigError."""
        node = environ.get("ROUTER_NODE", "")
        if not node:
            raise node_error("it is not set", "set it to the uplink's name, or to `firewall`")
        return cls(
            node=node,
            config=Path(environ.get("ROUTER_CONFIG", "/etc/router/router.yaml")),
            state=Path(environ.get("ROUTER_STATE_DIR", "/var/lib/router")),
            run=Path(environ.get("ROUTER_RUN_DIR", "/run/router")),
        )


def bus_config(settings: Settings, node: str) -> BusConfig:
    """Where this node finds the broker."""
    bus = settings.bus
    tls = BusTls(settings.path(bus.tls.ca_file)) if bus.tls is not None else None
    alone = settings.role(node) == "docker-host"
    return BusConfig(bus.host, bus.port, settings.site.name, node, settings.path(bus.password_file), tls, alone)


def node_info(settings: Settings, node: str) -> NodeInfo:
    """What the node tells of itself; peers warn when digests differ."""
    return NodeInfo(settings.role(node), __version__, SCHEMA, config_digest(settings))


def list_sources(settings: Settings, node: str) -> tuple[ListSource, ...]:
    """The lists that the firewall reads while it runs."""
    return tuple(
        ListSource(name, str(settings.path(found.file)) if found.file else "", found.names, found.refresh)
        for name, found in settings.lists.items()
        if node == FIREWALL and not found.addresses
    )


def users_file(settings: Settings, node: str) -> Path | None:
    """The broker's users, read by the broker's node alone."""
    bus = settings.bus
    ours = node == FIREWALL and bus.broker == FIREWALL and bus.users_file is not None
    return settings.path(bus.users_file) if ours and bus.users_file is not None else None


def dials(settings: Settings, node: str) -> bool:
    """Whether the node's uplink is a PPPoE session."""
    return isinstance(settings.uplinks.get(node), PppoeUplink)
