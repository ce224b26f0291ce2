"""`firewall`: the hardware of the firewall's container."""

from __future__ import annotations

from pydantic import Field

from agent.config.base import Noun
from agent.config.interface import Interface


class Firewall(Noun):
    """The firewall's NIC."""

    trunk: Interface | None = Field(default=None, description="NIC that carries the networks that have a `vlan`")
