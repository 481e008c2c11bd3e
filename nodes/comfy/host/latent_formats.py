"""`comfy.latent_formats`: the latent format of models."""

from nodes.comfy.models import LatentFormat as LatentFormat
