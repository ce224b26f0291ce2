"""nftables: makes a `Ruleset` true in one transaction, the whole of it or only what differs.

What was applied last is remembered, and forgotten on every error: then the whole is loaded. `verify` reads the kernel.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import nftables

from agent.desired import Ruleset

TABLE = "inet router"
# Address lists: a rule may drop by them, so taking an element away opens. They change in the one transaction only.
LISTS = ("list4_", "list6_")
_FLOWTABLE = "table inet router_probe { flowtable f { hook ingress priority filter; devices = { lo }; }; }"
_FLOWS_END = (6, 4)
# nft reads one command at a time; a command of this many elements keeps its memory small, the transaction is still one.
_CHUNK = 1000
_WHERE = re.compile(r":(\d+):\d+(?:-\d+)?: (?:Error: )?(.*)")
# The tables that a skeleton makes anew, whole or by a chain; one that it only deletes is not there afterwards.
_DYNAMIC = re.compile(r"(flags dynamic[^{}]*?)\n\s*elements = \{[^{}]*\}")
_OURS = re.compile(r"^delete (?:table|chain) (\S+ \S+)\b[^\n]*$(?=.*^table \1 \{)", re.MULTILINE | re.DOTALL)

Result = TypeVar("Result")


class NftError(Exception):
    """The kernel or nft refused. The text names the guilty line; `hint` says how to mend it, `line` is its number."""

    def __init__(self, message: str, hint: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.line = line


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
            if not name.startswith(LISTS)
        }
        script = "\n".join(line for name, keys in gone.items() for line in _deletions(name, keys))
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
        self._applied, self._listing = Ruleset(applied.skeleton, left, applied.chains), None

    def _apply(self, target: Ruleset) -> None:
        applied = self._applied
        self.forget()
        if applied is not None and applied.skeleton == target.skeleton:
            try:
                self._load(difference(applied, target))
            except NftError:
                # Somebody else changed our table: say so by loading the whole, which also tells the line of an error.
                self._load_file(whole(target))
        else:
            self._load_file(whole(target))
        self._applied = target

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
            raise _error(error, text)
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
            raise _error(error, text)


def whole(ruleset: Ruleset) -> str:
    """A script that makes a ruleset true from whatever there is, in one transaction."""
    lines = [ruleset.skeleton.rstrip("\n")]
    for name, held in sorted(ruleset.elements.items()):
        lines += _additions(name, held)
    for name, rules in sorted(ruleset.chains.items()):
        lines += [f"add rule {TABLE} {name} {rule}" for rule in rules]
    return "\n".join(lines) + "\n"


def difference(before: Ruleset, after: Ruleset) -> str:
    """A script that turns one ruleset into another of the same skeleton; empty where nothing differs."""
    lines: list[str] = []
    added: list[str] = []
    for name in sorted({*before.elements, *after.elements}):
        old, new = before.elements.get(name, {}), after.elements.get(name, {})
        if old is new or old == new:
            continue
        # A key with another value is deleted and added: within a transaction no packet sees it gone.
        lines += _deletions(name, {key: value for key, value in old.items() if new.get(key) != value})
        added += _additions(name, {key: value for key, value in new.items() if old.get(key) != value})
    lines += added
    for name in sorted({*before.chains, *after.chains}):
        rules = after.chains.get(name, ())
        if rules != before.chains.get(name, ()):
            lines.append(f"flush chain {TABLE} {name}")
            lines += [f"add rule {TABLE} {name} {rule}" for rule in rules]
    return "\n".join(lines)


def _additions(name: str, held: Mapping[str, str]) -> Iterator[str]:
    for chunk in _chunks([f"{key} : {value}" if value else key for key, value in held.items()]):
        yield f"add element {TABLE} {name} {{ {', '.join(chunk)} }}"


def _deletions(name: str, held: Mapping[str, str]) -> Iterator[str]:
    for chunk in _chunks(list(held)):
        yield f"delete element {TABLE} {name} {{ {', '.join(chunk)} }}"


def _chunks(items: list[str]) -> Iterator[list[str]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _error(error: str, text: str) -> NftError:
    """What nft says, with the line it means: by its number in `text` where nft gives one."""
    where = _WHERE.search(error)
    said = error.strip().splitlines()
    if where is None:
        return NftError("nft: " + "; ".join(line.strip() for line in said[:2] if line.strip()), _hint(error))
    number, what = int(where[1]), where[2]
    lines = text.splitlines()
    guilty = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    return NftError(f"nft: {what} in line {number}: {guilty[:400]}", _hint(error), number)


def _hint(error: str) -> str:
    if "Operation not permitted" in error:
        return "give the container NET_ADMIN"
    if "No such file or directory" in error or "not supported" in error:
        return "the kernel may lack an nftables module that the rules use: see `zgrep NF_ /proc/config.gz`"
    return ""


def _context() -> Any:
    library: Any = nftables  # the binding has no annotations
    return library.Nftables()
