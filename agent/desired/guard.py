"""The egress guard of an ingress: what its renderer makes and what the counters' reader looks for."""

from __future__ import annotations

# Packets that still bore an internal address at the uplink's device, and were dropped there: 0 unless a chain is wrong.
GUARDED = "guarded"
