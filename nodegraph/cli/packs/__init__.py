"""The commands about packs, and the trial of a pack's node types: `nodegraph packs try`."""
