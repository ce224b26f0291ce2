"""Tests, and the lab they run in."""
