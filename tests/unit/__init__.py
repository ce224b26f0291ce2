"""Tests that need neither root nor daemons."""
