"""A router made of containers: the agent that runs in each of them."""
