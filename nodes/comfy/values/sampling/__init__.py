"""Samplers, guiders and noise in ComfyUI's form, and those of packs in this engine's runs."""
