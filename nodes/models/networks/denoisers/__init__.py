"""Diffusion networks: U-Nets, MMDiT, FLUX, and their extra inputs."""
