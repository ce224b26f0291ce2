"""Every test of tests/vm/guest as a test of the host: the machine runs once, its results are shown one by one."""

from __future__ import annotations

import pytest

from tests.vm.conftest import SECONDS, Result, guest_tests


@pytest.mark.lab
@pytest.mark.timeout(SECONDS + 360)
@pytest.mark.parametrize("name", guest_tests())
def test_in_the_machine(machine: dict[str, list[Result]], name: str) -> None:
    results = machine.get(name)
    assert results, f"{name} left no result"
    failed = [result.text for result in results if result.outcome == "failed"]
    assert not failed, "\n".join(failed)
    if all(result.outcome == "skipped" for result in results):
        pytest.skip(results[0].text)
