"""The files of our own named below the state directory: the TSIG key, the first text of each zone, broken ones aside.

named owns a dynamic zone's file and its journal from the moment it has loaded them: they hold the names of leases and
survive restarts. Here they are only made, and put aside where named cannot load them any more.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pwd
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from agent.desired.dns import KEY_NAME
from agent.files import write_whole

ALGORITHM = "hmac-sha256"
KEY_BYTES = 32
# NS points out of the zone: a name in it without an address would keep the zone from being loaded.
_ZONE = """$TTL 300
@ SOA localhost. hostmaster.localhost. 1 3600 600 604800 60
@ NS localhost.
"""
# RFC 6303 and RFC 6761 section 6.3.
_FIXED = {"empty": _ZONE, "localhost": f"{_ZONE}@ A 127.0.0.1\n@ AAAA ::1\n"}
CHECK_TIMEOUT = 20.0

log = structlog.get_logger(__name__)


class Zones:
    """The directory of named's state. `user`: who named runs as."""

    def __init__(self, directory: Path, user: str = "bind") -> None:
        self.directory = directory
        self._user = user

    def prepare(self, zones: Iterable[str]) -> None:
        """Make what is missing for these zones; files of zones that are no more go. Raises OSError."""
        names = tuple(zones)
        self.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._own(self.directory)
        self._key()
        texts = {self.directory / name: text for name, text in _FIXED.items()}
        texts |= {self._file(name): _ZONE for name in names}
        for path, text in texts.items():
            if not path.exists():
                self._write(path, text, 0o640)
        wanted = {self._file(name).name for name in names}
        for path in sorted(self.directory.glob("*.zone")):
            if path.name not in wanted:
                for old in (path, path.with_name(f"{path.name}.jnl")):
                    old.unlink(missing_ok=True)

    async def heal(self, zone: str) -> str:
        """Look whether a zone that named does not serve can be loaded at all; a broken one is put aside and made anew.

        Returns what was wrong with it, empty where its files are good. Raises OSError. Cancelled, it changes nothing.
        """
        path = self._file(zone)
        status, said = await _run("named-checkzone", "-j", zone, str(path))
        if path.exists() and status <= 0:  # below 0: the checker was killed, which says nothing of the zone
            return ""
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        why = " / ".join(lines[:2])[:300] or "no such file"
        log.error("zone broken, put aside", zone=zone, error=why)
        for old in (path, path.with_name(f"{path.name}.jnl")):
            if old.exists():
                old.replace(old.with_name(f"{old.name}.broken"))
        self._write(path, _ZONE, 0o640)
        return why

    def broken(self) -> tuple[Path, ...]:
        """Files that were put aside and are still there."""
        return tuple(sorted(self.directory.glob("*.broken")))

    def _file(self, zone: str) -> Path:
        return self.directory / f"{zone}.zone"

    def _key(self) -> None:
        """The key that D2 and the agent sign updates with: made once, for named to read and in Kea's words."""
        native, kea = self.directory / f"{KEY_NAME}.key", self.directory / f"{KEY_NAME}.json"
        if native.exists() and kea.exists():
            return
        secret = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        document = {"name": KEY_NAME, "algorithm": ALGORITHM.upper(), "secret": secret}
        self._write(kea, json.dumps(document) + "\n", 0o600, owned=False)
        self._write(native, f'key "{KEY_NAME}" {{\n    algorithm {ALGORITHM};\n    secret "{secret}";\n}};\n', 0o600)
        log.info("a key for dynamic updates was made", file=str(native))

    def _write(self, path: Path, text: str, mode: int, *, owned: bool = True) -> None:
        write_whole(path, text, mode, own=self._own if owned else None)

    def _own(self, path: Path | int) -> None:
        try:
            account = pwd.getpwnam(self._user)
            os.chown(path, account.pw_uid, account.pw_gid)
        except (KeyError, PermissionError):
            return  # no named here, or not root: a test


async def _run(*command: str) -> tuple[int, str]:
    """The exit status of a program and what it said. It does not outlive us. Raises OSError, TimeoutError too."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    try:
        said, _ = await asyncio.wait_for(process.communicate(), CHECK_TIMEOUT)
    except TimeoutError:
        raise TimeoutError(f"{command[0]} did not end in {CHECK_TIMEOUT:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")
