"""Model families: one file each says how to recognise one, read its config and name its keys."""
