"""Tests in the machine: a line on the console for each, since it is slow and people want to see it move."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture(scope="session", autouse=True)
def _modules() -> None:
    """/dev/ppp exists before its module does; a container gets both from its host."""
    subprocess.run(["modprobe", "-a", "ppp_generic", "pppoe", "8021q", "nf_flow_table_inet"], check=True)
