"""The Python packages that packs need: named, imported, missing, and the way to install them."""
