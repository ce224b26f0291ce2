"""The configuration that runs, kept as `config.json` below the state directory, written whole or not at all.

It outlives an agent's restart: a confirmation that is awaited, a configuration that came from another file than the
node's own, and the last good one for a start with a file that has errors.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.files import write_whole

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NAME = "config.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """A text that runs, and the name of the file it came from.

    `base`: the fingerprint of the node's own file when it was applied; the text runs on while that file is the same.
    `before`, `before_name`: the text to go back to at `deadline` (CLOCK_BOOTTIME) unless it is confirmed; None where
    nothing is awaited. A deadline of another boot is past.
    """

    text: str
    name: str
    base: str
    before: str | None = None
    before_name: str = ""
    deadline: float | None = None


class ConfigStore:
    """The file in the state directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._boot = BOOT_ID.read_text(encoding="ascii").strip()

    def load(self) -> Kept | None:
        """What was kept; None where nothing was, or it cannot be read (the node's own file counts then)."""
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            boot = document.pop("boot")
            kept = Kept(**document)
            texts = (kept.text, kept.name, kept.base, kept.before_name)
            well = all(isinstance(text, str) for text in texts) and isinstance(kept.before, str | None)
            deadline = kept.deadline if kept.deadline is None else float(kept.deadline)
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None
        if not well:
            return None
        past = deadline is not None and boot != self._boot
        return Kept(kept.text, kept.name, kept.base, kept.before, kept.before_name, 0.0 if past else deadline)

    def save(self, kept: Kept) -> None:
        """Keep it, on the disk when this returns. The owner's alone. Raises OSError."""
        write_whole(self._path, json.dumps({"boot": self._boot, **asdict(kept)}), 0o600)
