"""What shall be: the elements of a `Plan`. Values only; `agent.render` turns them into text, drivers make them true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from agent.desired.names import Names
from agent.desired.neighbours import ProxyNeighbours
from agent.desired.probe import Probes, Watch
from agent.model import Fact, Family, IPAddress, IPInterface, IPNetwork, Memory, Neighbour, PolicyRule, Route


@dataclass(frozen=True, slots=True)
class Table:
    """What a container's nftables rules are made from; `agent.desired.ingress` and `.firewall` have the two kinds."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a generated file is made from; its kinds stand beside the tables, `agent.render` makes a `ConfigFile`."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Scripts that keep new connections out while a whole ruleset is loaded: before it, and behind it.

    Best effort: there is nothing to hold before the first load. What `begin` does must end by itself.
    """

    begin: str
    end: str


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A container's nftables rules, split by how often they change.

    `skeleton` is a complete nft script: it declares and deletes and declares again each of our tables, with all
    chains, sets and maps, the dynamic ones empty. It changes with the configuration (or with the devices that exist).
    `elements`: set or map → {key: value}, value "" for a set. `chains`: dynamic chain → its rules, in order.
    Both are of `table inet router`. The driver loads all of it in one transaction, or only what differs.
    `hold`: what is done around a load of the whole; None for nothing. `forbidding`: sets by which packets are dropped:
    an element that goes opens something.
    """

    skeleton: str
    elements: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    hold: Hold | None = None
    forbidding: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WantedLink:
    """A link to make or to hold: a VLAN `vlan` named `name` on `parent` (ifindex), or with vlan None an existing one.

    `mac` sets the address (down, set, up: the link-local address follows it); `mtu` in bytes.
    """

    name: str
    parent: int | None = None
    vlan: int | None = None
    mac: str | None = None
    mtu: int | None = None
    up: bool = True


@dataclass(frozen=True, slots=True)
class WantedAddress:
    """An address to hold on a link; it bears our protocol. `nodad`: IFA_F_NODAD.

    `alone`: IFA_F_NOPREFIXROUTE, its network is not on the link.
    """

    index: int
    ip: IPInterface
    nodad: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A generated file, relative to the directory of generated files (`/run/router/etc`).

    `check` is the daemon's own test, with `{path}` for the candidate file; None where there is none. `service` is the
    dinit service that reads it; `reload` is how that service takes a new text: a signal's name, or restart.
    `socket`: the control socket of a daemon that has one: while it answers, it is asked there instead, and says how it
    went. Empty for none.
    """

    path: str
    text: str
    check: tuple[str, ...] | None = None
    service: str | None = None
    reload: Literal["HUP", "USR1", "restart", "none"] = "restart"
    mode: int = 0o644
    socket: str = ""


@dataclass(frozen=True, slots=True)
class FlowEnd:
    """Connections that must end once the new rules and routes are in: a flow ends when all criteria given match.

    `mark`/`mask`: the connection mark. `translated_source_not_in`: source-translated flows whose translated source
    (the destination of the reply tuple) is none of these: the addresses that the uplink still has.
    `sources`: source-translated flows whose original source lies in one of these networks.
    `inside`: flows whose original source lies in one of these networks, translated or not.
    `reset`: the hosts inside are told by a TCP reset, so that they connect again at once.
    Level-triggered: planned as long as the condition shall hold; the driver ends what it finds, once per change.
    """

    family: Family
    mark: int | None = None
    mask: int = 0xFF
    translated_source_not_in: frozenset[IPAddress] | None = None
    sources: tuple[IPNetwork, ...] | None = None
    inside: tuple[IPNetwork, ...] | None = None
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """A retained fact of this node: topic below `backstage/1/<site>/<node>/`."""

    topic: str
    fact: Fact


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a person must know: shown in `status/<part>` and by `routerctl status`, with the way to mend it."""

    part: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that shall be true in one container. `again_at`: when time alone makes another plan (CLOCK_BOOTTIME).

    `proxied`: what an ingress answers for on its uplink. `probes`: how it finds out whether that carries packets.
    `watch`: the ingresses that a firewall asks. `names`: what zones shall hold, in our own named and outside.
    """

    nft: Table
    links: tuple[WantedLink, ...] = ()
    addresses: frozenset[WantedAddress] = frozenset()
    routes: frozenset[Route] = frozenset()
    rules: frozenset[PolicyRule] = frozenset()
    neighbours: frozenset[Neighbour] = frozenset()
    sysctls: tuple[tuple[str, str], ...] = ()
    files: tuple[Document, ...] = ()
    services: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    flows: tuple[FlowEnd, ...] = ()
    facts: tuple[Publication, ...] = ()
    memory: Memory = Memory()
    problems: tuple[Problem, ...] = ()
    again_at: float | None = None
    probes: Probes | None = None
    proxied: ProxyNeighbours | None = None
    watch: Watch | None = None
    names: Names = Names()
