"""docs/conformance.md is what the tests say, and every marker names a row."""

from __future__ import annotations

from tests.conformance.report import TESTS, proofs, report
from tests.conformance.rows import ROWS, TITLES


def test_the_document_is_current() -> None:
    text = (TESTS.parent / "docs" / "conformance.md").read_text()
    assert text == report(), "run `python -m tests.conformance.report docs/conformance.md`"


def test_every_marker_names_a_row() -> None:
    known = {(row.rfc, row.name) for row in ROWS}
    unknown = {key: tests for key, tests in proofs().items() if key not in known}
    assert not unknown, "add a row to tests/conformance/rows.py, or mend the marker"


def test_rows_are_told_once_and_their_rfc_has_a_title() -> None:
    keys = [(row.rfc, row.name) for row in ROWS]
    assert len(keys) == len(set(keys))
    assert {row.rfc for row in ROWS} == set(TITLES)
