"""Tests marked `lab` run wherever namespaces can be made; elsewhere they are skipped, with the reason."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where there is none."""
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root: namespaces and packet sockets")
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(skip)
