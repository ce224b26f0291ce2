"""The lab: a whole network in namespaces, with real daemons, for the tests, the demo and the benchmarks.

from tests.lab.lab import Lab

with Lab() as lab:
    lab.start_isps()
    lab.start_router()
    lab.nodes["laptop"].run(["ping", "-c1", "203.0.113.7"])
"""
