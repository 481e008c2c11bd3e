"""What tests of packs work with: a node run by the real engine, and pytest's fixtures for it."""
