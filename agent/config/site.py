"""`site`: what the whole router is, and its internal IPv6 plan."""

from __future__ import annotations

from pydantic import Field

from agent.config.addresses import Prefix6
from agent.config.base import Noun
from agent.config.preference import Failback
from agent.config.texts import Domain, Duration, Label
from agent.config.timezone import Zone


class Site(Noun):
    """The router's name and its internal prefix."""

    name: Label = Field(description="level of the bus topics and DNS label: a-z 0-9 -")
    prefix: Prefix6 = Field(description="internal IPv6 plan; each network takes the /64 numbered by its `subnet`")
    domain: Domain = Field(default="home.arpa", description="DNS domain of the names inside (RFC 8375)")
    timezone: Zone = Field(default="UTC", description="clock of the rules' `when`: an IANA time zone")
    failback: Failback = Field(
        default="soft",
        description="when a better uplink returns: `soft` new connections only, `hard` all, `manual` none",
    )
    failback_limit: Duration | None = Field(
        default=None, description="`soft`: connections left behind end after this time; default: by themselves"
    )
    hold_down: Duration = Field(
        default=2.0, description="how long an uplink that failed must be well again; doubles with each failure"
    )
