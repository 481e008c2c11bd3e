"""Lets packs that were written for ComfyUI run here: what they import, declare, take and return.

Nothing else in this project imports this room; it is found by an entry point of the group
`nodegraph.pack_hosts` once the folder of such packs is there.
"""
