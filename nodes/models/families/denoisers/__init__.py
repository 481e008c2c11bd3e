"""The families of denoising models, one file each: recognise a file, read it, name its keys."""
