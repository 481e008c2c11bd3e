"""Model families, one file each: recognise it, read its config, name its keys."""
