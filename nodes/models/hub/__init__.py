"""Model files named by `hf://`: resolved, pinned, downloaded, checked."""
