"""Text encoders, VAEs, vision encoders, upscalers and other small networks."""
