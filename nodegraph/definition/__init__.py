"""Declaring nodes: `@node`, markers, packs and the context of a call."""
