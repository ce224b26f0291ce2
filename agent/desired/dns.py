"""What the files of named and of Kea's D2 are made from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from agent.desired import Document
from agent.model import IPAddress, IPNetwork

DNS_PORT = 53
KEY_NAME = "ddns"
# Our own named as its clients on this machine see it, and D2 as Kea sees it (its own default).
NAMED_ADDRESS = IPv4Address("127.0.0.1")
D2_PORT = 53001
STATE = "/var/lib/router/named"
GENERATED = "/run/router/etc"
# The TSIG key of the local zones, in the words of named and of Kea: `agent.drivers.zones` makes it, no plan sees it.
KEY_FILE = f"{STATE}/ddns.key"
KEY_JSON = f"{STATE}/ddns.json"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A forwarder. `tls_name`: the name that its certificate must have (RFC 7858), empty for plain DNS."""

    address: IPAddress
    port: int = DNS_PORT
    tls_name: str = ""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Clients that do not get the names of some response policy zones. `zones`: (name, file) of each."""

    clients: tuple[IPNetwork, ...]
    zones: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class BlockZone(Document):
    """A response policy zone: the names and all below them do not exist."""

    name: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamedConfig(Document):
    """named.conf (named.conf(5)).

    `listen4`, `listen6`: our addresses. `clients`: who may ask. `zones`: dynamic zones, one file each.
    `forward`: outside names are asked of `upstreams` alone; False: of the root and below. With `forward` and no
    upstream nothing outside is resolved. `private`: answers from outside that hold such addresses are dropped, but
    for names in `private_domains`. `cache` in MiB. `blocked`: disjoint parts of `clients`.
    """

    listen4: tuple[IPv4Address, ...]
    listen6: tuple[IPv6Address, ...]
    clients: tuple[IPNetwork, ...]
    zones: tuple[str, ...]
    forward: bool = False
    upstreams: tuple[Upstream, ...] = ()
    private: tuple[IPNetwork, ...] = ()
    private_domains: tuple[str, ...] = ()
    log: bool = False
    cache: int = 64
    blocked: tuple[Blocked, ...] = ()
    state: str = STATE


@dataclass(frozen=True, slots=True)
class KeaD2Config(Document):
    """kea-dhcp-ddns.conf: Kea's names go into these zones, to our own named."""

    forward: tuple[str, ...]
    reverse: tuple[str, ...]
    run: str = "/run/kea"
