"""Patches on weights: LoRAs, merges, quantization, Control-LoRAs."""
