"""The lab of uplinks, whose broker lives by a wall clock of its own that can be set.

A machine has one CLOCK_REALTIME, in every namespace, and others use it too. mosquitto alone of what is here counts by
it (the agents count by CLOCK_BOOTTIME, and show it in log lines), so mosquitto is run with libfaketime and sees its
clock jump. The agents are told as by any jump: the kernel tells whoever waits with TFD_TIMER_CANCEL_ON_SET that the
clock was set, also when it is set to what it shows.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

from tests.lab.services_of import service_files
from tests.lab.uplinks_world import UplinksWorld

OFFSET: Final = "/run/mosquitto.clock"
_COMMAND: Final = "command = "


def faketime() -> Path:
    """libfaketime of Debian's package of that name."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    assert found is not None, "libfaketime is missing: run `make packages`"
    return found


class ChaosWorld(UplinksWorld):
    """Its broker's clock can be set: `set_clock`."""

    def start_router(self, *names: str) -> None:
        """As the lab does, but for the environment of the broker."""
        firewall = self.nodes["firewall"]
        service = firewall.path("/etc/dinit.d/mosquitto")
        text = service_files("firewall")["mosquitto"].read_text()
        assert _COMMAND in text
        wrapped = f"/usr/bin/env LD_PRELOAD={faketime()} FAKETIME_TIMESTAMP_FILE={OFFSET} "
        wrapped += "FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 "
        service.unlink()  # a link into the source tree
        service.write_text(text.replace(_COMMAND, _COMMAND + wrapped, 1))
        firewall.path(OFFSET).write_text("+0\n")
        super().start_router(*names)

    def set_clock(self, seconds: int) -> None:
        """The wall clock is now this far from the right time: for the broker, and by the notice for the agents."""
        self.nodes["firewall"].path(OFFSET).write_text(f"{seconds:+d}\n")
        with contextlib.suppress(PermissionError):  # no CAP_SYS_TIME: as if the agents had not been told
            time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME))
