"""What the files of our own broker are made from."""

from __future__ import annotations

from dataclasses import dataclass

from agent.desired import Document


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """Files of the TLS listener, as absolute paths on the broker's node."""

    cert_file: str
    key_file: str


@dataclass(frozen=True, slots=True)
class MosquittoConfig(Document):
    """mosquitto.conf(5), with one listener. `etc` holds `acl` and `passwd`, `state` what is retained.

    mosquitto gives up root for `user` before it reads any of the files. `connections`: at most so many at a time.
    `strangers`: some users are other people's machines, so nobody may take the connection of another's name.
    """

    host: str
    port: int
    etc: str = "/run/router/etc/mosquitto"
    state: str = "/var/lib/router/mosquitto"
    tls: BrokerTls | None = None
    user: str = "mosquitto"
    connections: int = 64
    strangers: bool = False


@dataclass(frozen=True, slots=True)
class MosquittoAcl(Document):
    """mosquitto's ACL: who may write where below `site`'s topics.

    `nodes` write below their own names and read the whole site. `hosts`: whether there are docker hosts, users who
    write and read three topics of their own and nothing else.
    """

    site: str
    nodes: tuple[str, ...] = ()
    hosts: bool = False
