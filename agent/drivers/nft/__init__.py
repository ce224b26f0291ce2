"""nftables: makes a `Ruleset` true in one transaction, the whole of it or only what differs.

What was applied last is remembered, and forgotten on every error: then the whole is loaded. `verify` reads the kernel.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import nftables

from agent.desired import Ruleset
from agent.drivers.nft.counts import carried, counts, has_counts
from agent.drivers.nft.error import NftError, error_of
from agent.drivers.nft.script import TABLE, deletions, difference, whole

__all__ = ["TABLE", "Nft", "NftError", "difference", "whole"]

_FLOWTABLE = "table inet router_probe { flowtable f { hook ingress priority filter; devices = { lo }; }; }"
_FLOWS_END = (6, 4)
# The tables that a skeleton makes anew, whole or by a chain; one that it only deletes is not there afterwards.
_DYNAMIC = re.compile(r"(flags dynamic[^{}]*?)\n\s*elements = \{[^{}]*\}")
_OURS = re.compile(r"^delete (?:table|chain) (\S+ \S+)\b[^\n]*$(?=.*^table \1 \{)", re.MULTILINE | re.DOTALL)

Result = TypeVar("Result")


class Nft:
    """Our tables in this network namespace. Everything runs on one thread of its own: a context belongs to one thread.

    `run_dir` is where a script is written before it is loaded: errors then name the line. None: the system's.
    A call that is cancelled is finished all the same: a transaction is never left half told.
    """

    def __init__(self, *, run_dir: Path | None = None) -> None:
        self._run_dir = run_dir
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nft")
        self._context: Any = None
        self._dry: Any = None
        self._applied: Ruleset | None = None
        self._listing: str | None = None

    async def close(self, target: Ruleset) -> None:
        """Take away what `target` no longer permits: elements that are gone. Nothing to do before the first apply.

        Those of sets that forbid stay until the one transaction that brings what comes instead.
        It never fails: what it could not do, the next `apply` does by loading the whole.
        """
        if self._applied is not None and self._applied.skeleton == target.skeleton:
            await self._run(self._close, target)

    async def apply(self, target: Ruleset) -> None:
        """Make `target` true in one transaction. NftError when nft or the kernel refuse: the rules before then hold."""
        if target != self._applied:
            await self._run(self._apply, target)

    async def settle(self) -> None:
        """Note how the kernel lists our tables now, for `verify`. To be called when there is time."""
        if self._applied is not None and self._listing is None:
            await self._run(self._note)

    async def verify(self) -> bool:
        """Whether our tables are in the kernel as they were after the last apply. False: `forget`, apply again."""
        return await self._run(self._verify)

    async def has_flowtables(self) -> bool:
        """Whether this kernel offloads flows, and lets offloaded connections be deleted (Linux 6.4)."""
        if tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2]) < _FLOWS_END:
            return False
        try:
            await self.check(_FLOWTABLE)
        except NftError:
            return False
        return True

    async def check(self, text: str) -> None:
        """Try a script without effect. NftError names the line that is wrong."""
        await self._run(self._check, text)

    async def load(self, text: str) -> None:
        """Load a script beside the ruleset: into another table than `TABLE`. NftError where it is refused."""
        await self._run(self._load, text)

    def forget(self) -> None:
        """Remember nothing: the next apply loads the whole."""
        self._applied = self._listing = None

    async def aclose(self) -> None:
        """End the thread, after what it is at. The rules stay."""
        await self._run(self._free)
        self._worker.shutdown()

    async def _run(self, work: Callable[..., Result], *arguments: object) -> Result:
        future = asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    # --- on the worker's thread -----------------------------------------------------------------------------------

    def _close(self, target: Ruleset) -> None:
        applied = self._applied
        if applied is None:
            return
        gone = {
            name: {key: value for key, value in held.items() if key not in target.elements.get(name, {})}
            for name, held in applied.elements.items()
            if name not in applied.forbidding
        }
        script = "\n".join(line for name, keys in gone.items() for line in deletions(name, keys))
        if not script:
            return
        try:
            self._load(script)
        except NftError:
            self.forget()
            return
        left = {
            name: {key: value for key, value in held.items() if key not in gone.get(name, {})}
            for name, held in applied.elements.items()
        }
        self._applied, self._listing = replace(applied, elements=left), None

    def _apply(self, target: Ruleset) -> None:
        applied = self._applied
        self.forget()
        if applied is not None and applied.skeleton == target.skeleton:
            try:
                self._load(difference(applied, target))
            except NftError:
                # Somebody else changed our table: say so by loading the whole, which also tells the line of an error.
                self._replace(target)
        else:
            self._replace(target)
        self._applied = target

    def _replace(self, target: Ruleset) -> None:
        text = whole(target)
        if has_counts(text):
            text = carried(text, self._counts())
        try:
            if target.hold is not None:
                self._try(target.hold.begin)
            self._load_file(text)
        finally:
            if target.hold is not None:
                self._try(target.hold.end)

    def _try(self, script: str) -> None:
        with suppress(NftError):  # its table is not there yet: nothing is open either
            self._load(script)

    def _counts(self) -> dict[str, str]:
        """What our counters have counted. Packets of the milliseconds until the table is replaced are not in it."""
        self._nft().set_stateless_output(val=False)
        try:
            return counts(self._command(f"list counters table {TABLE}"))
        except NftError:
            return {}  # the first load

    def _note(self) -> None:
        applied = self._applied
        if applied is not None:
            self._listing = self._list(applied)

    def _verify(self) -> bool:
        applied, listing = self._applied, self._listing
        if applied is None or listing is None:
            return False
        try:
            return self._list(applied) == listing
        except NftError:
            return False

    def _check(self, text: str) -> None:
        if self._dry is None:
            self._dry = _context()
            self._dry.set_dry_run(onoff=True)
        self._load_file(text, self._dry)

    def _free(self) -> None:
        # A context is freed by the thread that used it.
        self._context = self._dry = None

    def _list(self, ruleset: Ruleset) -> str:
        # Only tables that the skeleton replaces: the packet path writes into the others.
        tables = dict.fromkeys(_OURS.findall(ruleset.skeleton))
        context = self._nft()
        context.set_stateless_output(val=True)
        listing = "\n".join(self._command(f"list table {table}") for table in tables)
        return _DYNAMIC.sub(r"\1", listing)  # what packets put into our own sets is not ours to compare

    def _nft(self) -> Any:
        if self._context is None:
            self._context = _context()
        return self._context

    def _command(self, text: str) -> str:
        code, output, error = self._nft().cmd(text)
        if code:
            raise error_of(error, text)
        return str(output)

    def _load(self, script: str) -> None:
        if script:
            self._command(script)

    def _load_file(self, text: str, context: Any = None) -> None:
        """Load from a file: nft then names the line of an error."""
        with tempfile.NamedTemporaryFile("w", suffix=".nft", dir=self._run_dir, encoding="utf-8") as file:
            file.write(text)
            file.flush()
            code, _, error = (context or self._nft()).cmd_from_file(file.name)
        if code:
            raise error_of(error, text)


def _context() -> Any:
    library: Any = nftables  # the binding has no annotations
    return library.Nftables()
