"""The tests; a package so that they can share the oracle, the cases and the backends."""
