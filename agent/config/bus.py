"""`bus`: where the broker is and how the nodes prove who they are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.config.base import Noun
from agent.config.ports import Port
from agent.config.texts import FilePath, Text


class Tls(Noun):
    """TLS of the bus: needed as soon as an agent speaks from another machine."""

    ca_file: FilePath = Field(description="certificates of the authority that signed the broker's")
    cert_file: FilePath | None = Field(default=None, description="certificate: the broker's on its node")
    key_file: FilePath | None = Field(default=None, description="private key of `cert_file`")


class Bus(Noun):
    """The backstage bus (MQTT 5)."""

    host: Text = Field(description="name or address where the nodes find the broker")
    port: Port = Field(default=1883, description="TCP port of the broker; 8883 is the one of TLS")
    broker: Literal["firewall", "external"] = Field(
        default="firewall", description="`firewall`: our own mosquitto there; `external`: somebody else's"
    )
    tls: Tls | None = Field(default=None, description="TLS; without it the bus is plain MQTT")
    password_file: FilePath = Field(description="the password of the node that reads it; its user is the node's name")
    users_file: FilePath | None = Field(
        default=None, description="read by the broker's node only: lines of `user:password`"
    )
