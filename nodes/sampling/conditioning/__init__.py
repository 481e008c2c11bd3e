"""Conditions, latents and regions, and the protocol of a denoiser."""
