"""Stand-ins for the node types of packs that workflows use most; an installed pack's come first.

Names, inputs and outputs are the packs', so that workflows made with them run as they are.
"""
