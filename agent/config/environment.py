"""Overrides from the environment: `ROUTER_BUS__HOST` is `bus.host`. For `bus` and `log` only.

Any other name that begins with ROUTER_ is an error: a misspelt override must not be silently without effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from agent.config.bus import Bus
from agent.config.finding import Finding, KeyPath
from agent.config.log import Log
from agent.config.scalar import plain
from agent.config.scheme import keys_of, models_in

PREFIX = "ROUTER_"
SEPARATOR = "__"
FILE = "environment"
OWN = ("ROUTER_NODE", "ROUTER_CONFIG", "ROUTER_STATE_DIR", "ROUTER_RUN_DIR", "ROUTER_READY_FD")
_CLOSE = 0.76  # names share a prefix, so the usual 0.6 would call anything close
_SECTIONS: Mapping[str, type[BaseModel]] = {"bus": Bus, "log": Log}


def _paths(model: type[BaseModel], path: KeyPath) -> Iterator[KeyPath]:
    """The key paths of all scalars below a model."""
    for key, info in keys_of(model).items():
        inner = models_in(info.annotation)
        for part in inner:
            yield from _paths(part, (*path, key))
        if not inner:
            yield (*path, key)


def variable(path: KeyPath) -> str:
    """The name of the variable that overrides a key path."""
    return PREFIX + SEPARATOR.join(str(part).upper() for part in path)


def overridable() -> dict[str, KeyPath]:
    """All variables that override a key, and the key path of each."""
    return {variable(path): path for section, model in _SECTIONS.items() for path in _paths(model, (section,))}


def overrides(environ: Mapping[str, str]) -> tuple[dict[KeyPath, Any], list[Finding]]:
    """The values to override by key path, read like unquoted YAML scalars, and what is wrong with the names."""
    known = overridable()
    values: dict[KeyPath, Any] = {}
    findings: list[Finding] = []
    for name in sorted(name for name in environ if name.startswith(PREFIX) and name not in OWN):
        if name in known:
            values[known[name]] = plain(environ[name])
            continue
        close = get_close_matches(name, [*known, *OWN], n=1, cutoff=_CLOSE)
        mend = f"write {close[0]}" if close else f"unset it; only {PREFIX}BUS__… and {PREFIX}LOG__… override keys"
        findings.append(Finding(FILE, 0, 0, name, "a variable that nothing reads", mend))
    return values, findings
