"""`comfy.latent_formats`: the latent format of models."""

from nodes.comfy.values.inner_model import LatentFormat as LatentFormat
