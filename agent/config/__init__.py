"""The configuration scheme, one noun per module."""
