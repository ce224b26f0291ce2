"""Figures that only the machine can give, for tests/bench."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.vm import build
from tests.vm.run import run

NAME = "pppoe-to-packet.json"


def pppoe_to_packet(runs: int = 10, progress: Callable[[str], None] = print) -> list[float]:
    """Milliseconds from a new session's delegated prefix to the first packet translated to it, one a run.

    Raises build.MissingError where no machine can be built, RuntimeError when it measured nothing.
    """
    script = f"python -c 'import agent.app'; python -m tests.vm.guest.bench_pppoe {runs} /mnt/out/{NAME}\n"
    with tempfile.TemporaryDirectory(prefix="vm-results-") as results:
        status = run(script, Path(results), seconds=300 + 45 * runs, progress=progress)
        path = Path(results, NAME)
        if status or not path.exists():
            raise RuntimeError(f"the machine measured nothing: its script exited {status}")
        return [float(value) for value in json.loads(path.read_text())]


if __name__ == "__main__":
    try:
        print(sorted(pppoe_to_packet()))
    except build.MissingError as error:
        raise SystemExit(str(error)) from None
