"""Families with a U-Net: Stable Diffusion 1, 2 and XL."""
