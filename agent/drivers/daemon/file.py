"""Generated files on the disk, and a daemon's own check of one."""

from __future__ import annotations

import asyncio
from pathlib import Path

CHECK_TIMEOUT = 20.0


def read(path: Path) -> str | None:
    """The text of a file; None where there is none, it cannot be read, or is no UTF-8.

    Such content is somebody else's, or of a disk that failed: it is no text that a daemon was given or may get.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return None


async def check(command: list[str]) -> str:
    """The daemon's own words where it refuses, empty where it is content or not installed here."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except FileNotFoundError:
        return f"{command[0]} is not installed, so the text cannot be checked"
    try:
        output, _ = await asyncio.wait_for(process.communicate(), CHECK_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{command[0]} did not end its check in {CHECK_TIMEOUT:g} s"
    if process.returncode == 0:
        return ""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-3:])[:400] or f"{command[0]} exit status {process.returncode}"
