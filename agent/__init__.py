"""A router made of containers: the agent that runs in each of them."""

__version__ = "0.1.0"
