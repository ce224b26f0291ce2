"""What the installed named can do (named(8))."""

from __future__ import annotations

import asyncio
import re

# Forwarders over TLS came with 9.19.10; Debian bookworm has 9.18, trixie and the images 9.20.
TLS_SINCE = (9, 19)
TIMEOUT = 10.0
_VERSION = re.compile(r"BIND (\d+)\.(\d+)")


async def forwards_over_tls(command: tuple[str, ...] = ("named", "-v")) -> bool:
    """Whether it can ask forwarders over TLS; True where it is not installed or its version is not understood."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
    except OSError:  # a timeout is one too
        return True
    found = _VERSION.search(output.decode(errors="replace"))
    return found is None or (int(found[1]), int(found[2])) >= TLS_SINCE
