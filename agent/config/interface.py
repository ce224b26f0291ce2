"""`interface` and `trunk`: which NIC is meant."""

from __future__ import annotations

from pydantic import Field

from agent.config.base import Noun
from agent.config.texts import InterfaceName, Mac


class Interface(Noun):
    """A NIC, by its permanent MAC address or by its name: one of the two."""

    mac: Mac | None = Field(default=None, description="permanent MAC address of the NIC")
    name: InterfaceName | None = Field(default=None, description="name of the NIC, at most 15 characters")

    def __str__(self) -> str:
        return self.mac or self.name or "an interface without name and MAC"
