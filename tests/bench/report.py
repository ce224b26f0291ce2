"""Results: one entry a benchmark, kept in docs/benchmarks.json and shown in docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
JSON = DOCS / "benchmarks.json"
TABLE = DOCS / "benchmarks.md"


@dataclass(frozen=True)
class Figure:
    """What one benchmark measured, in `unit`. `against`: peer → its median in the same run."""

    name: str
    unit: str
    median: float
    p99: float
    worst: float
    runs: int
    against: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bound:
    """What an issue asks: the median and the 99th percentile at most, and how much faster than a peer at least."""

    figure: str
    median: float | None = None
    p99: float | None = None
    worst: float | None = None
    faster: tuple[str, float] | None = None

    def broken(self, figure: Figure) -> list[str]:
        """What is not met, in words."""
        limits = {"median": self.median, "p99": self.p99, "worst": self.worst}
        words = [
            f"{which} {getattr(figure, which):g} {figure.unit} > {limit:g}"
            for which, limit in limits.items()
            if limit is not None and getattr(figure, which) > limit
        ]
        if self.faster is not None:
            peer, factor = self.faster
            ratio = figure.against.get(peer, 0.0) / figure.median if figure.median else 0.0
            if ratio < factor:
                words.append(f"only {ratio:.1f} times faster than {peer}, {factor:g} asked")
        return words

    def text(self, unit: str) -> str:
        """For the table."""
        limits = (("", self.median), ("p99 ", self.p99), ("worst ", self.worst))
        parts = [f"{name}{limit:g} {unit}" for name, limit in limits if limit is not None]
        if self.faster is not None:
            parts.append(f"{self.faster[1]:g} times faster than {self.faster[0]}")
        return ", ".join(parts)


def figure(
    name: str, unit: str, samples: Sequence[float], against: Mapping[str, Sequence[float]] | None = None
) -> Figure:
    """The figure of these samples, rounded to three significant digits or so."""
    ordered = sorted(samples)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    peers = {peer: _round(statistics.median(values)) for peer, values in (against or {}).items()}
    return Figure(name, unit, _round(statistics.median(ordered)), _round(p99), _round(ordered[-1]), len(ordered), peers)


def _round(value: float) -> float:
    return float(f"{value:.3g}")


def machine() -> str:
    """The machine in one line."""
    cpu = next((line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    nft = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=False).stdout.split(" (")[0]
    return (
        f"{os.cpu_count()} x {cpu}, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {nft}"
    )


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()


def save(figures: Sequence[Figure], bounds: Mapping[str, Bound]) -> None:
    """Put the figures into the files; those of benchmarks that did not run now stay as they were."""
    known = {entry["name"]: entry for entry in json.loads(JSON.read_text())} if JSON.exists() else {}
    where = machine()
    known.update({entry.name: {**asdict(entry), "machine": where} for entry in figures})
    order = {name: number for number, name in enumerate(bounds)}
    entries = sorted(known.values(), key=lambda entry: (order.get(entry["name"], 999), entry["name"]))
    JSON.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    TABLE.write_text(_table(entries, bounds))


def _table(entries: Sequence[Mapping[str, object]], bounds: Mapping[str, Bound]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; the same figures are in [benchmarks.json](benchmarks.json). Compare medians, ratios:",
        "a busy machine moves single figures. Peers were measured in the same run.",
        "",
        "| name | figure | median | p99 | worst | runs | against | asked |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        bound = bounds.get(str(entry["name"]))
        unit = str(entry["unit"])
        against = entry["against"] if isinstance(entry["against"], dict) else {}
        peers = ", ".join(f"{peer} {median:g} {unit}" for peer, median in against.items())
        asked = bound.text(unit) if bound else ""
        numbers = " | ".join(f"{entry[key]:g} {unit}" for key in ("median", "p99", "worst"))
        what = bound.figure if bound else ""
        lines.append(f"| `{entry['name']}` | {what} | {numbers} | {entry['runs']} | {peers or '-'} | {asked} |")
    machines = sorted({str(entry.get("machine", "")) for entry in entries})
    return "\n".join([*lines, "", *(f"Measured on {where}." for where in machines if where), ""])
