"""Packs: found, described in a child process, imported when a run needs them."""
