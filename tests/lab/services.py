"""The lab's stand-in for dinit: `services.py DIRECTORY [SERVICE]`, run inside a node as PID 1 would be in a container.

Starts SERVICE (`boot`) from the service files in DIRECTORY, answers `dinitctl` on /run/dinitctl (the path that dinit
has), logs to standard output, ends after SIGTERM (all services stopped in order) or when no service is up any more.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.lab.control import Control
from tests.lab.service_file import ServiceFileError
from tests.lab.supervisor import State, Supervisor

SOCKET = "/run/dinitctl"


def _log(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _run(directory: Path, name: str) -> int:
    supervisor = Supervisor(directory, _log)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    control = Control(supervisor, ended)
    server = await asyncio.start_unix_server(control.serve, SOCKET)
    try:
        boot = supervisor.unit(name)
    except ServiceFileError as error:
        _log(f"[dinit] {error}")
        return 1
    boot.explicit = True
    starting = asyncio.create_task(boot.start())
    while not ended.is_set():
        try:
            async with asyncio.timeout(0.1):
                await ended.wait()
        except TimeoutError:
            if starting.done() and all(unit.state is State.STOPPED for unit in supervisor.units.values()):
                _log("[dinit] No more active services.")
                break
    await supervisor.shut_down()
    server.close()
    return 0


def _as_process_1() -> None:
    """Ignore nothing: a container begins so, and a shell cannot trap what was ignored before it (`nohup make test`)."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    _as_process_1()
    sys.exit(asyncio.run(_run(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "boot")))
