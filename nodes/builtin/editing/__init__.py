"""Nodes that filter, composite and mask images."""
