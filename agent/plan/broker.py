"""Our own broker: where it listens, and who may write where."""

from __future__ import annotations

from agent.config import Settings
from agent.desired import Document
from agent.desired.broker import BrokerTls, MosquittoAcl, MosquittoConfig


def plan_broker(settings: Settings) -> tuple[Document, ...]:
    """Give the documents of mosquitto on the firewall; none where somebody else runs the broker.

    The password file is not among them: only `agent.drivers.passwords` sees passwords.
    """
    bus = settings.bus
    if bus.broker != "firewall":
        return ()
    acl = MosquittoAcl(settings.site.name)
    if bus.tls is not None and bus.tls.cert_file is not None and bus.tls.key_file is not None:
        tls = BrokerTls(str(settings.path(bus.tls.cert_file)), str(settings.path(bus.tls.key_file)))
        # A mounted key belongs to root alone, and mosquitto reads it only after it has given up root.
        return (MosquittoConfig(bus.host, bus.port, tls=tls, user="root"), acl)
    return (MosquittoConfig(bus.host, bus.port), acl)
