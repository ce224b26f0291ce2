"""What the tests of the configuration share."""
