"""Lists of addresses, read from files and behind DNS names (`lists` in the configuration).

What was last good stays: a file that vanished, is empty or has a line that is no address, and a name that no longer
resolves change nothing but the error that is shown. It is kept in `lists.json`, so a restart without DNS has it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, TypeVar, cast

import structlog

from agent.desired.lists import ListSource
from agent.events import ListsRead
from agent.files import write_whole
from agent.model import IPAddress, IPNetwork, ListContent

Result = TypeVar("Result")
Resolve: TypeAlias = Callable[[str], Awaitable[tuple[IPAddress, ...]]]
# A file of more lines, or of more bytes (so many lines of 80), is taken for a mistake.
MAX_LINES = 200_000
MAX_BYTES = 16_000_000
# After a failure it is tried again soon, then ever more rarely, up to the list's own interval. Seconds.
RETRY = 5.0
PATIENCE = 10.0

log = structlog.get_logger(__name__)


class BadListError(Exception):
    """A list could not be read. `hint`: how to mend it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


async def aside(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises, from a thread that nobody waits for.

    Not the loop's own threads, which others share: with a dead DNS server every look-up holds one for half a minute,
    just when an uplink has failed and its connections must end. Nor those of an executor: they delay the exit.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def tell(result: Result | None, error: Exception | None) -> None:
        if done.done():  # given up
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("Result", result))

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - it is raised where it is awaited
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, name="lists", daemon=True).start()
    return await done


async def resolve(name: str) -> tuple[IPAddress, ...]:
    """All addresses of a DNS name, by the system's resolver. Raises OSError where there are none."""
    async with asyncio.timeout(PATIENCE):
        found = await aside(partial(socket.getaddrinfo, name, None, type=socket.SOCK_STREAM))
    return tuple(sorted({ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}, key=_order))


def _order(address: IPAddress) -> tuple[int, int]:
    return address.version, int(address)


def read_list(path: str) -> tuple[IPNetwork, ...]:
    """The addresses and prefixes of a file, one a line, comments from `#` on. Raises an error that names the line."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise BadListError(f"the list file {path} cannot be read: {reason}", "put the file back") from None
    if len(content) > MAX_BYTES:
        raise BadListError(f"the list file {path} has more than {MAX_BYTES // 1_000_000} MB", "make it shorter")
    lines = content.decode(errors="replace").splitlines()
    if len(lines) > MAX_LINES:
        raise BadListError(f"the list file {path} has more than {MAX_LINES} lines", "make it shorter")
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if "%" in text:  # `fe80::1%eth0`: a set of nft knows no device
            hint = "write the address without `%` and what follows"
            raise BadListError(f"{path}:{number}: `{text[:60]}` names a device", hint)
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            hint = "write one address or prefix a line, like 192.0.2.0/24"
            raise BadListError(f"{path}:{number}: `{text[:60]}` is not an address", hint) from None
    if not found:
        raise BadListError(f"the list file {path} is empty", "write addresses into it, or delete the list")
    return _joined(found)


def _joined(networks: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    given = tuple(networks)
    found4 = collapse_addresses(network for network in given if isinstance(network, IPv4Network))
    found6 = collapse_addresses(network for network in given if isinstance(network, IPv6Network))
    return (*found4, *found6)


class Lists:
    """Reads the lists and says so when their content or their errors change. `keep`: the state directory's file."""

    def __init__(self, keep: Path, resolver: Resolve = resolve) -> None:
        self._keep = keep
        self._resolve = resolver
        self._sources: tuple[ListSource, ...] = ()
        self._good = self._load()
        self._said: Mapping[str, ListContent] = {}
        self._changed = asyncio.Event()
        self._writing = threading.Lock()

    def configure(self, sources: tuple[ListSource, ...]) -> None:
        """These are the lists from now on; all are read at once."""
        self._sources = sources
        self._changed.set()

    def last_good(self) -> ListsRead:
        """What an earlier life has read, before anything is read in this one."""
        found = {source.name: ListContent(self._content(source)) for source in self._sources}
        return ListsRead(MappingProxyType(found))

    async def run(self, emit: Callable[[ListsRead], None]) -> None:
        """Read for ever, each list at its own pace."""
        while True:
            self._changed.clear()
            async with asyncio.TaskGroup() as group:
                readers = [group.create_task(self._follow(source, emit)) for source in self._sources]
                await self._changed.wait()
                for reader in readers:
                    reader.cancel()

    async def _follow(self, source: ListSource, emit: Callable[[ListsRead], None]) -> None:
        wait = RETRY
        while True:
            content = await self._read(source)
            self._say(source.name, content, emit)
            wait = min(wait * 2, source.refresh) if content.error else source.refresh
            await asyncio.sleep(wait)

    def _say(self, name: str, content: ListContent, emit: Callable[[ListsRead], None]) -> None:
        before = self._said.get(name)
        if content == before:
            return
        if content.error and (before is None or content.error != before.error):
            log.warning("list not read, its last good addresses stay", list=name, error=content.error)
        wanted = {source.name for source in self._sources}
        kept = {key: value for key, value in self._said.items() if key in wanted}
        waiting = {s.name: ListContent(self._content(s)) for s in self._sources if s.name not in kept}
        self._said = MappingProxyType({**waiting, **kept, name: content})
        emit(ListsRead(self._said))

    async def _read(self, source: ListSource) -> ListContent:
        errors: list[str] = []
        hint = ""
        if source.file:
            try:
                await self._remember(source.file, await aside(partial(read_list, source.file)))
            except BadListError as error:
                errors, hint = [str(error)], error.hint
        for name in source.names:
            try:
                found = _joined(ip_network(address) for address in await self._resolve(name))
            except (OSError, UnicodeError) as error:  # a timeout is an OSError too
                reason = getattr(error, "strerror", None) or "no answer"
                errors.append(f"{name} does not resolve: {reason}")
                hint = "check the name, and /etc/resolv.conf of the firewall's container"
            else:
                await self._remember(name, found)
        return ListContent(self._held(source), "; ".join(errors), hint)

    def _held(self, source: ListSource) -> tuple[IPNetwork, ...]:
        """What is good of the list; what its name held before where nothing of the source was ever read."""
        before = self._said.get(source.name)
        if before is not None and not any(key in self._good for key in (source.file, *source.names)):
            return before.networks
        return self._content(source)

    def _content(self, source: ListSource) -> tuple[IPNetwork, ...]:
        parts = [self._good.get(key, ()) for key in (source.file, *source.names) if key]
        return parts[0] if len(parts) == 1 else _joined(network for part in parts for network in part)

    async def _remember(self, key: str, networks: tuple[IPNetwork, ...]) -> None:
        if self._good.get(key) == networks:
            return
        self._good[key] = networks
        try:
            await aside(self._write)
        except OSError as error:
            log.warning("cannot keep the lists for a restart", file=str(self._keep), error=error.strerror)

    def _write(self) -> None:
        """Megabytes, and a disk that may be slow: not on the loop's own thread. Who comes last writes the newest."""
        with self._writing:
            held = sorted(self._good.copy().items())
            text = json.dumps({name: list(map(str, found)) for name, found in held}, indent=1)
            write_whole(self._keep, text + "\n")

    def _load(self) -> dict[str, tuple[IPNetwork, ...]]:
        try:
            document = json.loads(self._keep.read_text(encoding="utf-8"))
            return {str(name): tuple(map(ip_network, found)) for name, found in document.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            log.warning("kept lists not understood: they are read anew", file=str(self._keep), error=str(error)[:200])
            return {}
