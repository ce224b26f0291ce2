"""`check`: everything there is to say about a file, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.config.finding import Complaint, ConfigError, Finding
from agent.config.loader import load_file, place
from agent.config.settings import Settings
from agent.config.unused import unused_keys

_NARROWEST = 40


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check` found. `settings` is None where there are errors. `not_yet`: keys accepted but not acted on."""

    file: str
    settings: Settings | None = None
    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    not_yet: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the file can be used."""
        return not self.errors

    def render_text(self, width: int = 80) -> str:
        """For a terminal of that many columns; ends with a newline."""
        return "\n".join(self._lines(max(width, _NARROWEST))) + "\n"

    def _lines(self, width: int) -> Iterator[str]:
        for finding in (*self.errors, *self.warnings):
            yield from _shown(finding, width)
            yield ""
        if self.not_yet:
            yield "Accepted, but without effect in this version:"
            for finding in self.not_yet:
                yield from _wrapped(f"line {finding.line}: {finding.key}: {finding.message}", "  ", width)
            yield ""
        yield from _wrapped(self._summary(), "", width)

    def _summary(self) -> str:
        warned = f", {_count(len(self.warnings), 'warning')}" if self.warnings else ""
        if self.settings is None:
            return f"{self.file}: {_count(len(self.errors), 'error')}{warned}"
        parts = [
            _count(len(getattr(self.settings, section)), section.rstrip("s").replace("_", " "))
            for section in ("networks", "uplinks", "docker_hosts", "hosts", "rules", "forwards")
            if getattr(self.settings, section)
        ]
        return f"{self.file}: configuration OK ({', '.join(parts) or 'no networks'}){warned}"


def _nothing(_: Settings) -> Iterator[Complaint]:
    return iter(())


def check(
    path: Path, environ: Mapping[str, str], further: Callable[[Settings], Iterator[Complaint]] = _nothing
) -> CheckReport:
    """The report of a file. Opens no other one: not the secrets it names. `further`: more to say of good settings."""
    try:
        loaded = load_file(path, environ)
    except ConfigError as error:
        errors = tuple(finding for finding in error.findings if finding.level == "error")
        warnings = tuple(finding for finding in error.findings if finding.level == "warning")
        return CheckReport(str(path), errors=errors, warnings=warnings)
    notes = (Complaint(key.path, key.reason, "", at_key=True) for key in unused_keys(loaded.settings))
    not_yet = sorted((place(loaded.document, {}, note) for note in notes), key=lambda f: (f.line, f.column))
    more = tuple(place(loaded.document, {}, found) for found in further(loaded.settings))
    return CheckReport(str(path), loaded.settings, (), (*loaded.warnings, *more), tuple(not_yet))


def render_findings(findings: tuple[Finding, ...], width: int = 80) -> str:
    """Findings alone, as `check` shows them: for `run` and `reload`."""
    return "\n".join(line for finding in findings for line in _shown(finding, max(width, _NARROWEST))) + "\n"


def _shown(finding: Finding, width: int) -> Iterator[str]:
    key = f"  {finding.key}" if finding.key else ""
    yield f"{finding.level}: {finding.place}{key}"
    yield from _wrapped(finding.message, "    ", width)
    yield from _wrapped(f"To mend: {finding.mend}.", "    ", width)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    """Lines of at most `width`; a word that is longer (a path, an address) stays whole, to be copied."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + ("  " if indent else ""),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
