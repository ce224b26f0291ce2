"""Our own broker: where it listens, and who may write where."""

from __future__ import annotations

from dataclasses import replace

from agent.config import Settings
from agent.config.settings import FIREWALL
from agent.desired import Document
from agent.desired.broker import BrokerTls, MosquittoAcl, MosquittoConfig


def _connections(hosts: int) -> int:
    """Room for all, and for those that connect again. It seldom changes: that restarts the broker."""
    return 1 << (63 + 2 * hosts).bit_length() if hosts else 64


def bus_room(settings: Settings) -> int | None:
    """How many connections to our broker may come from the networks, where docker hosts are; None for any number.

    A host that was taken over need not log in to fill the broker. The nodes on the backstage keep 32 connections, also
    where the rules are replaced meanwhile: what stands is then no longer counted, so this is half of the rest.
    """
    if settings.bus.broker != FIREWALL or not settings.docker_hosts:
        return None
    return _connections(len(settings.docker_hosts)) // 2 - 16


def plan_broker(settings: Settings) -> tuple[Document, ...]:
    """Give the documents of mosquitto on the firewall; none where somebody else runs the broker.

    The password file is not among them: only `agent.drivers.passwords` sees passwords.
    """
    bus = settings.bus
    if bus.broker != "firewall":
        return ()
    hosts = len(settings.docker_hosts)
    acl = MosquittoAcl(settings.site.name, (FIREWALL, *settings.uplinks), hosts=hosts > 0)
    config = MosquittoConfig(bus.host, bus.port, connections=_connections(hosts), strangers=hosts > 0)
    if bus.tls is not None and bus.tls.cert_file is not None and bus.tls.key_file is not None:
        tls = BrokerTls(str(settings.path(bus.tls.cert_file)), str(settings.path(bus.tls.key_file)))
        # A mounted key belongs to root alone, and mosquitto reads it only after it has given up root.
        return (replace(config, tls=tls, user="root"), acl)
    return (config, acl)
