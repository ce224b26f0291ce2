"""docs/conformance.md, made from the rows and from the markers of the tests: `… report docs/conformance.md`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.conformance.rows import ROWS, TITLES, Row

TESTS = Path(__file__).resolve().parents[1]
HEAD = """\
# Conformance

Made by `python -m tests.conformance.report docs/conformance.md` from the tests: a test names the requirement that it
proves, `@pytest.mark.rfc("6092", "REC-5")`. A deviation is where the router differs, and why. "Not yet": not built, or
built and not proven by a test of its own. Rows without an RFC's own number are named by what they are about.
"""

Key = tuple[str, str]


def proofs(root: Path = TESTS) -> dict[Key, list[str]]:
    """(RFC, requirement) → the tests that prove it, `file::function`, in order."""
    found: dict[Key, list[str]] = {}
    for path in sorted(root.rglob("test_*.py")):
        for key, name in _marked(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(root.parent)}::{name}" if name else str(path.relative_to(root.parent))
            if where not in found.setdefault(key, []):
                found[key].append(where)
    return found


def _marked(module: ast.Module) -> Iterator[tuple[Key, str]]:
    """Markers with the function they stand on; an empty name for those of a whole module."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((key, node.name) for decorator in node.decorator_list for key in _keys(decorator))
        elif isinstance(node, ast.Assign):
            yield from ((key, "") for key in _keys(node.value))


def _keys(node: ast.AST) -> Iterator[Key]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.rfc":
            number, requirement = (ast.literal_eval(argument) for argument in call.args)
            yield number, requirement


def report() -> str:
    """The whole text."""
    proven = proofs()
    lines = [HEAD]
    done = sum((row.rfc, row.name) in proven for row in ROWS)
    differ = sum(bool(row.deviation) for row in ROWS)
    lines.append(f"{len(ROWS)} rows: {done} proven by tests, {differ} with a deviation.\n")
    for number, rows in groupby(sorted(ROWS, key=lambda row: int(row.rfc)), key=lambda row: row.rfc):
        lines += [f"## RFC {number}: {TITLES[number]}", "", "| id | asked | here |", "|---|---|---|"]
        lines += [f"| {row.name} | {row.what} | {_here(row, proven.get((row.rfc, row.name), []))} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def _here(row: Row, tests: list[str]) -> str:
    proven = ", ".join(f"[{_short(test)}](../{test.partition('::')[0]})" for test in tests)
    deviation = f"**deviation**: {row.deviation}" if row.deviation else ""
    return "; ".join(part for part in (deviation, proven) if part) or "not yet"


def _short(test: str) -> str:
    path, _, name = test.partition("::")
    return (name or Path(path).stem).removeprefix("test_").replace("_", " ")


def main() -> int:
    """Write the file named, or standard output."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(report(), encoding="utf-8")
    else:
        sys.stdout.write(report())
    return 0


if __name__ == "__main__":
    sys.exit(main())
