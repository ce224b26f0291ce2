"""What RFCs ask of a router, and which test proves it: `python -m tests.conformance.report docs/conformance.md`."""
