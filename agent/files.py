"""The one way to write a file that somebody reads, us in another life or a daemon: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_whole(
    path: Path, text: str, mode: int = 0o644, *, durable: bool = True, own: Callable[[int], None] | None = None
) -> None:
    """Write a file, in place of one that is there, and make the directory where it is missing. Raises OSError.

    `durable`: it is on the disk when this returns, text and name: after a power cut it is neither empty nor gone. `own`
    gets the descriptor before anything is in the file, for another owner than ours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    # Not one that is there: somebody else may hold it open, or have made it a link where a daemon owns the directory.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(descriptor, mode)
            if own is not None:
                own(descriptor)
            stream.write(text)
            stream.flush()
            if durable:
                os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # half a file would take room where there may be none
            temporary.unlink()
        raise
    if durable:
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """The name, too, is on the disk (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
