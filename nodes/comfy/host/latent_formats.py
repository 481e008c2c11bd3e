"""`comfy.latent_formats`: how latents relate to what models see."""

from nodes.comfy.models import LatentFormat as LatentFormat
