"""What the commands of `routerctl` share: asking the agent, the terminal's width, a failure's exit status."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

# Imported by every command, also by those that dhcpcd's hook waits for: no pydantic here.


def ask(command: str, *, wait: float | None = None, **more: object) -> dict[str, object] | None:
    """The agent's answer; None after saying on stderr why there is none. `wait` in seconds."""
    from agent.drivers.control import TIMEOUT, ControlError  # noqa: PLC0415
    from agent.drivers.control import ask as ask_agent  # noqa: PLC0415

    path = Path(os.environ.get("ROUTER_RUN_DIR", "/run/router")) / "agent.sock"
    try:
        return asyncio.run(ask_agent(path, {"command": command, **more}, wait or TIMEOUT))
    except ControlError as error:
        fail(f"{error}\nrun this in a container of the router; `dinitctl list` shows whether its agent is up")
        return None


def width() -> int:
    """Columns of the terminal; 100 where there is none."""
    return os.get_terminal_size().columns if sys.stdout.isatty() else 100


def fail(message: str) -> int:
    """Say what is wrong; the exit status to return."""
    sys.stderr.write(f"{message}\n")
    return 1
