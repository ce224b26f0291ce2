"""From a file to `Settings`, or to all that is wrong with it: syntax, then fields, then cross-references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.config.cross import complaints
from agent.config.document import Document, decode, parse
from agent.config.environment import FILE, overrides, variable
from agent.config.fields import complaint, unknown_key
from agent.config.finding import Complaint, ConfigError, Finding, KeyPath, by_place, written
from agent.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Loaded:
    """Good settings, the warnings about them, and the document they were read from."""

    settings: Settings
    warnings: tuple[Finding, ...]
    document: Document


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of a file with the environment's overrides. Raises ConfigError with all findings of a phase.

    No file but this one is opened: secrets are read by the node that uses them, when it runs.
    """
    return load_file(path, environ).settings


def load_file(path: Path, environ: Mapping[str, str], data: bytes | None = None, name: str = "") -> Loaded:
    """As `load`, with the warnings and the document.

    `data`: what the file shall hold, read from one that people know by `name`; its paths are relative to `path`.
    """
    overriding, findings = overrides(environ)
    try:
        document = read(path) if data is None else parse(name, decode(name, data))
    except ConfigError as error:
        raise ConfigError([*error.findings, *findings]) from None
    settings = _fields(document, overriding, findings)
    settings._base_dir = path.absolute().parent  # noqa: SLF001 -- no key of the file, so no field
    found = [place(document, overriding, each) for each in complaints(settings)]
    if errors := [finding for finding in found if finding.level == "error"]:
        raise ConfigError([*errors, *(finding for finding in found if finding.level == "warning")])
    return Loaded(settings, tuple(sorted(found, key=by_place)), document)


def read(path: Path) -> Document:
    """The file as a document. Raises ConfigError where it cannot be read, or is not YAML."""
    file = str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        mend = "name the configuration file (ROUTER_CONFIG), readable by this user"
        reason = (error.strerror or "cannot be read").lower()
        raise ConfigError([Finding(file, 0, 0, "", f"the file cannot be read: {reason}", mend)]) from None
    return parse(file, decode(file, data))


def _fields(document: Document, overriding: Mapping[KeyPath, Any], findings: Iterable[Finding]) -> Settings:
    values = merged(document.value, overriding)
    # pydantic-settings takes arguments of its own in this form (`_env_file`): none may come from the file.
    private = [key for key in values if key.startswith("_")]
    found = [*findings, *(place(document, overriding, unknown_key(Settings, (key,))) for key in private)]
    try:
        settings = Settings(**{key: value for key, value in values.items() if key not in private})
    except ValidationError as error:
        details = error.errors(include_url=False)
        found += [place(document, overriding, complaint(Settings, detail)) for detail in details]
        raise ConfigError(found) from None
    if found:
        raise ConfigError(found)
    return settings


def merged(value: Mapping[str, Any], overriding: Mapping[KeyPath, Any]) -> dict[str, Any]:
    """The document's value with the overrides laid over it; the document's own stays as it is."""
    result = dict(value)
    for path, override in overriding.items():
        target = result
        for part in path[:-1]:
            inner = target.get(str(part))
            if inner is not None and not isinstance(inner, dict):
                break  # the model will say what is wrong with it
            target[str(part)] = target = dict(inner or {})
        else:
            target[str(path[-1])] = override
    return result


def place(document: Document, overriding: Mapping[KeyPath, Any], found: Complaint) -> Finding:
    """A complaint in its place: a line of the file, or the variable that overrode the key."""
    if found.path in overriding:
        return Finding(FILE, 0, 0, variable(found.path), found.message, found.mend, found.level)
    position = document.position(found.path, at_key=found.at_key)
    file, key = document.file, written(found.path)
    also = f" (line {document.position(found.see).line})" if found.see is not None else ""
    return Finding(file, position.line, position.column, key, found.message + also, found.mend, found.level)
