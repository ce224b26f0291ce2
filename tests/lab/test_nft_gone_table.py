"""A table that the target only takes away, as the guard of an uplink that is gone: it is no error to have none."""

from __future__ import annotations

import pytest

from agent.desired import Ruleset
from agent.drivers.nft import Nft
from tests.lab.netns import netns

pytestmark = pytest.mark.lab

TABLES = """\
table inet router
delete table inet router
table netdev router
delete table netdev router
table inet router { chain c { type filter hook forward priority 0; policy drop; }; }
"""
WITH = Ruleset(TABLES + 'table netdev router {\n chain g { type filter hook egress device "lo" priority 0; }\n}\n')
WITHOUT = Ruleset(TABLES)


def test_a_table_that_is_taken_away_is_not_asked_for() -> None:
    with netns() as space:

        async def main() -> None:
            nft = Nft()
            await nft.apply(WITH)
            await nft.settle()
            assert "netdev router" in space.sh("nft list ruleset")
            await nft.apply(WITHOUT)
            await nft.settle()
            assert await nft.verify()
            assert "netdev router" not in space.sh("nft list ruleset")
            space.sh("nft flush chain inet router c; nft add rule inet router c accept")
            assert not await nft.verify()
            await nft.aclose()

        space.run(main)
