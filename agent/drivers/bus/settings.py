"""Where the broker is, who we are there, and what can go wrong on the way."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BusTls:
    """TLS to the broker: its certificate must be signed by `ca_file` and name the host that we connect to."""

    ca_file: Path


@dataclass(frozen=True, slots=True)
class BusConfig:
    """The broker, and this node there. The password is read anew for each connection: it may be changed any time.

    `alone`: this node may read its own topics only, and needs no others.
    """

    host: str
    port: int
    site: str
    node: str
    password_file: Path
    tls: BusTls | None = None
    alone: bool = False


class Cause(enum.Enum):
    """Why there is no connection: how long to wait before the next try depends on it."""

    UNREACHABLE = enum.auto()
    REFUSED = enum.auto()
    TWIN = enum.auto()


class BusError(Exception):
    """The bus is not there; `hint` says how a person mends it. What was to be published is remembered."""

    def __init__(self, message: str, hint: str = "", cause: Cause = Cause.UNREACHABLE) -> None:
        super().__init__(message)
        self.hint = hint
        self.cause = cause
