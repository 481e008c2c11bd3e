"""Tools for the tests of packs: run a node by the real engine, and pytest fixtures for it."""
