"""A configuration that could run: read whole, checked, with the plan it gives now. And which one a start takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import structlog

from agent.config import ConfigError, Settings
from agent.config.loader import load_file
from agent.desired import Plan
from agent.drivers.config_store import Kept
from agent.model import State
from agent.nodes import planner_for
from agent.place import Place
from agent.plan_diff import Change, View, changes
from agent.render import render_file, render_ruleset

Planner: TypeAlias = Callable[[State, float], Plan]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configuration without errors. `name`: of the file that `text` was read from, for people."""

    name: str
    text: str
    settings: Settings
    planner: Planner

    def view(self, state: State, now: float) -> View:
        """What it makes of the state."""
        return view(self.planner(state, now), state)


def view(plan: Plan, state: State) -> View:
    """A plan with its texts."""
    devices = {link.index: link.name for link in state.links.values()}
    return View(plan, render_ruleset(plan.nft), tuple(map(render_file, plan.files)), devices)


def compared(before: Plan | None, after: Plan | None, state: State) -> tuple[Change, ...]:
    """What changes between two plans of one state; nothing where one of them is not there yet."""
    return changes(view(before, state), view(after, state)) if before and after else ()


def read_candidate(place: Place, environ: Mapping[str, str], data: bytes, name: str) -> Candidate:
    """Read a configuration as if it stood in the place of the node's own file. Raises ConfigError."""
    settings = load_file(place.config, environ, data, name).settings
    return Candidate(name, data.decode("utf-8"), settings, planner_for(settings, place.node))


def read_own(place: Place, environ: Mapping[str, str]) -> tuple[Candidate, str]:
    """The node's own file, and its fingerprint. Raises ConfigError."""
    try:
        data = place.config.read_bytes()
    except OSError:
        load_file(place.config, environ)  # says what is wrong with it
        raise
    return read_candidate(place, environ, data, str(place.config)), digest(data)


def digest(data: bytes) -> str:
    """The fingerprint of a file's content."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def signature(path: Path) -> object:
    """What of a file tells that it may have other content; None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def orphaned(path: Path) -> bool:
    """Whether no directory has this file any more: mounted by itself, and replaced where it came from."""
    try:
        return path.stat().st_nlink == 0
    except OSError:
        return False


def first(place: Place, environ: Mapping[str, str], kept: Kept | None, now: float) -> tuple[Candidate, Kept, str]:
    """What a start takes, what is kept from now on, and what is wrong with the node's own file (empty: nothing).

    A configuration that awaits its confirmation runs on until its deadline, then the one before it. One that came from
    another file runs while the node's own file is the same. A file with errors leaves the last good one.
    Raises ConfigError where nothing can run.
    """
    error: ConfigError | None = None
    own: Candidate | None = None
    try:
        own, base = read_own(place, environ)
    except ConfigError as problem:
        error, base = problem, _fingerprint(place)
    if kept is not None and kept.before is not None and (kept.deadline is None or kept.deadline <= now):
        log.warning("not confirmed in time: the configuration before it is back", refused=kept.name)
        kept = Kept(kept.before, kept.before_name, base)
    if kept is not None and (kept.before is not None or kept.base == base or own is None):
        try:
            return read_candidate(place, environ, kept.text.encode(), kept.name), kept, str(error or "")
        except ConfigError as problem:
            log.warning("the configuration that was kept cannot be used any more", error=str(problem))
    if own is None:
        raise error or ConfigError([])
    return own, Kept(own.text, own.name, base), ""


def _fingerprint(place: Place) -> str:
    try:
        return digest(place.config.read_bytes())
    except OSError:
        return ""
