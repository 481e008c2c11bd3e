"""The host of packs written for ComfyUI: their imports, declarations, inputs and outputs.

Nothing else in this project imports this package; it is found by an entry point of the group
`nodegraph.pack_hosts` once the folder of such packs exists.
"""
