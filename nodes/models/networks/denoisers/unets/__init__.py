"""The U-Net of Stable Diffusion, and what it alone reads."""
