"""What the firewall's log of packets is made from."""

from __future__ import annotations

from dataclasses import dataclass

from agent.desired import Document

LOG_GROUP = 1


@dataclass(frozen=True, slots=True)
class UlogdConfig(Document):
    """ulogd.conf: packets of an NFLOG group as lines of text on stdout. A container does not see the kernel's log."""

    group: int = LOG_GROUP
