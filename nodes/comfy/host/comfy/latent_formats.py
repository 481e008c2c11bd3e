"""`comfy.latent_formats`: the latent format of models."""

from nodes.comfy.values.models import LatentFormat as LatentFormat
