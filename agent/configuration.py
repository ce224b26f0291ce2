"""The configuration that runs, and how it is replaced: checked whole, planned, applied, confirmed or taken back.

The node's own file is looked at every `EVERY` seconds by its content, so that an atomic rename is noticed as well as a
write in place (inotify sees neither through every bind mount). What has errors changes nothing that runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from agent import events as ev
from agent.candidate import Candidate, compared, digest, orphaned, read_candidate, read_own, signature
from agent.config import ConfigError, Settings
from agent.desired import Problem, Ruleset
from agent.drivers.config_store import ConfigStore, Kept
from agent.place import Place
from agent.plan_diff import Change, View
from agent.reconcile import Reconciler, Status

EVERY = 2.0
AGAIN = 5.0  # seconds between two tries to go back
_SAME = (
    "the router runs this already (a changed file is applied by itself), so there is nothing to go back to: "
    "edit a copy and `routerctl apply --confirm 60s COPY`"
)
SETTLE = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request. `errors`: why nothing was changed. `failing`: parts that fail since the change."""

    errors: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()


@dataclass(slots=True)
class Configuration:
    """Owns what runs. `adopt` tells those who do not learn from a plan, and returns what they take up only later.

    `check` raises for a ruleset that nft or the kernel refuse. `refusals`: what it raises, and ConfigError.
    """

    place: Place
    environ: Mapping[str, str]
    store: ConfigStore
    loop: Reconciler
    now: Callable[[], float]
    adopt: Callable[[Settings], tuple[str, ...]]
    check: Callable[[Ruleset], Awaitable[None]]
    refusals: tuple[type[Exception], ...]
    running: Candidate
    kept: Kept
    _seen: object = None
    _replaced: bool = False
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def left(self) -> float | None:
        """Seconds until what runs is taken back; None where no confirmation is awaited."""
        return None if self.kept.before is None else max((self.kept.deadline or 0.0) - self.now(), 0.0)

    def problems(self) -> tuple[Problem, ...]:
        """What a person must know of the configuration that runs."""
        if self.kept.before is not None:
            hint = "`routerctl confirm` keeps it, `routerctl revert` goes back now"
            return (Problem("config", f"{self.kept.name} is applied and waits to be confirmed", hint),)
        if self._replaced:
            what = f"{self.place.config} was replaced on the host, and the new one is not seen here"
            return (Problem("config", what, "mount its directory or write the file in place; make the container anew"),)
        if digest(self.kept.text.encode()) != self.kept.base:
            own = self.place.config
            what = "an earlier content" if self.kept.name == str(own) else self.kept.name
            hint = f"put what shall stay into {own}: its next change counts"
            return (Problem("config", f"{what} is applied instead of {own}", hint),)
        return ()

    async def reload(self) -> Outcome:
        """Apply the node's own file, and compare all that is applied with the kernel."""
        async with self._lock:
            if self.kept.before is not None:
                return _waiting()
            outcome = await self._own()
            # It reads the kernel whole, so it comes after what changed.
            await self.loop.follow(self.running.planner, resync=True)
            return outcome

    async def preview(self, data: bytes | None, name: str) -> Outcome:
        """What would change. `data` None: the node's own file."""
        try:
            candidate = self._read(data, name)
            after = await self._checked(candidate)
        except self.refusals as error:
            return Outcome(_sentences(error))
        before = self.running.planner(self.loop.state, self.now())
        return Outcome(changes=compared(before, after.plan, self.loop.state))

    async def apply(self, data: bytes | None, name: str, confirm: float | None) -> Outcome:
        """Apply a configuration; with `confirm` it is taken back after so many seconds unless it is confirmed."""
        async with self._lock:
            if self.kept.before is not None:
                return _waiting()
            try:
                candidate = self._read(data, name)
                if confirm is not None and candidate.text == self.running.text:
                    return Outcome((_SAME,))
                base = digest(self.place.config.read_bytes())
                return await self._switch(candidate, base, confirm)
            except self.refusals as error:
                return Outcome(_sentences(error))

    async def confirm(self) -> Outcome:
        """Keep what runs."""
        async with self._lock:
            if self.kept.before is None:
                return Outcome(("nothing waits to be confirmed",))
            self._keep(replace(self.kept, before=None, before_name="", deadline=None))
            self._seen = None  # the file may have changed while it was not looked at
            log.info("configuration confirmed", name=self.kept.name)
            notes = tuple(f"{problem.message}; {problem.hint}" for problem in self.problems())
            return Outcome(notes=notes)

    async def revert(self) -> Outcome:
        """Go back to the configuration before the one that waits to be confirmed."""
        async with self._lock:
            if self.kept.before is None:
                return Outcome(("nothing waits to be confirmed, so there is nothing to go back to",))
            log.warning("configuration taken back", name=self.kept.name)
            try:
                before = self._read(self.kept.before.encode(), self.kept.before_name)
                return await self._switch(before, self.kept.base, None)
            except self.refusals as error:
                # It ran before: only what lies outside of it (a list, a device) can have changed.
                log.error("cannot go back", error=str(error))  # noqa: TRY400 - no bug
                # It is tried again: the way back must not be lost to a full disk of a moment.
                self._keep(replace(self.kept, deadline=self.now() + AGAIN))
                return Outcome(_sentences(error))

    async def watch(self) -> None:
        """Look at the file and at the clock, for ever."""
        self._keep(self.kept)  # what this start took is the last good one of the next
        while True:
            self._wake.clear()
            try:
                async with asyncio.timeout(min(EVERY, self.left if self.left is not None else EVERY)):
                    await self._wake.wait()
            except TimeoutError:
                await self._look()

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        if self.left is not None:
            if self.left <= 0:
                await self.revert()
            return
        seen = signature(self.place.config)
        if seen == self._seen:
            return
        await asyncio.sleep(SETTLE)
        if seen != signature(self.place.config):
            return  # still being written
        async with self._lock:
            if self.kept.before is not None:
                return
            self._seen, self._replaced = seen, orphaned(self.place.config)
            try:
                changed = digest(self.place.config.read_bytes()) != self.kept.base
            except OSError:
                changed = True
            if changed:
                log.info("the configuration file has changed", file=str(self.place.config))
                await self._own()

    def _read(self, data: bytes | None, name: str) -> Candidate:
        if data is None:
            return read_own(self.place, self.environ)[0]
        return read_candidate(self.place, self.environ, data, name)

    async def _own(self) -> Outcome:
        try:
            candidate, base = read_own(self.place, self.environ)
            return await self._switch(candidate, base, None)
        except self.refusals as error:
            said = Status(str(error), "mend the file; what ran before runs on", self.now())
            self.loop.status["config"] = said
            log.error("configuration refused, the running one stays", error=str(error))  # noqa: TRY400 - no bug
            self.loop.emit(ev.Tick())
            return Outcome(_sentences(error))

    async def _checked(self, candidate: Candidate) -> View:
        """Its plan, when nft and the kernel take the rules."""
        try:
            found = candidate.view(self.loop.state, self.now())
        except Exception as error:
            log.exception("no plan for this configuration", name=candidate.name)
            raise ConfigError([]) from error
        await self.check(found.ruleset)
        return found

    async def _switch(self, candidate: Candidate, base: str, confirm: float | None) -> Outcome:
        if self.loop.state.synced:
            await self._checked(candidate)
        before, previous, failed = self.loop.applied, self.running, self._failing()
        deadline = None if confirm is None else self.now() + confirm
        if confirm is None:
            kept = Kept(candidate.text, candidate.name, base)
        else:
            kept = Kept(candidate.text, candidate.name, base, previous.text, previous.name, deadline)
            self._keep(kept)  # before: whatever happens now, the way back is known
        self.running = candidate
        self.loop.status["config"] = Status(since=self.now())
        notes = self.adopt(candidate.settings)
        await self.loop.follow(candidate.planner)
        if confirm is None:
            self._keep(kept)
        changed = compared(before, self.loop.applied, self.loop.state)
        # By part: the same failure may find other words meanwhile.
        failing = tuple(f"{part}: {error}" for part, error in sorted(self._failing().items()) if part not in failed)
        log.info("configuration applied", name=candidate.name, changes=[change.summary for change in changed])
        return Outcome(changes=changed, notes=notes, failing=failing)

    def _failing(self) -> dict[str, str]:
        return {part: status.error for part, status in self.loop.status.items() if status.error}

    def _keep(self, kept: Kept) -> None:
        self.kept = kept
        self._wake.set()
        try:
            self.store.save(kept)
        except OSError as error:
            log.warning("cannot keep what runs for the next start", error=str(error))


def _waiting() -> Outcome:
    return Outcome(("a configuration waits to be confirmed: `routerctl confirm` or `routerctl revert` first",))


def _sentences(error: Exception) -> tuple[str, ...]:
    return tuple(str(error).splitlines()) or ("no plan can be made of it: the agent's log says why",)
