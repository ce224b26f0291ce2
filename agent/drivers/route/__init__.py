"""Links, addresses, routes, rules and neighbours of ours, made true by rtnetlink(7)."""

from agent.drivers.route.driver import RouteDriver
from agent.drivers.route.request import RouteError
from agent.drivers.route.wanted import Wanted

__all__ = ["RouteDriver", "RouteError", "Wanted"]
