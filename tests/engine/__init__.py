"""The images and compose projects in a real Docker engine: the host's, or one made from Debian packages."""
