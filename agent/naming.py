"""What keeps the names of a firewall, and whom it asks for what it cannot do itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Network
from pathlib import Path

import structlog

from agent.drivers.dinit import Dinit, DinitError
from agent.drivers.kea import KeaSocket
from agent.drivers.kea_leases import KeaLeases
from agent.drivers.zones import Zones
from agent.names import NameKeeper

KEA_RUN = "/run/kea"

log = structlog.get_logger(__name__)


def name_keeper(state: Path, now: Callable[[], float], dinit: Dinit, served: KeaLeases) -> NameKeeper:
    """The keeper of names, with its files below `state`."""

    async def reload_named() -> None:
        with suppress(DinitError):
            await dinit.signal("named", "HUP")

    async def name_leases() -> None:
        """Have Kea tell of the names of its leases again: their zone was made anew."""
        for version in (4, 6):
            leased = [lease.binding.leased for lease in served.held() if lease.binding.hostname]
            addresses = [found for found in leased if not isinstance(found, IPv6Network) and found.version == version]
            told = await KeaSocket().name_again(f"{KEA_RUN}/kea{version}-ctrl-socket", version, addresses)
            log.info("leases are named again", version=version, leases=told)

    return NameKeeper(Zones(state / "named"), state / "public.json", now, reload_named, name_leases)
