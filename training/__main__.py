"""`python -m training`: every stage in order. Finished stages are read from training/runs."""

import logging

import torch

from training import (
    distill,
    export,
    latents,
    parallel,
    train_decoder,
    train_denoiser,
    train_lora,
    train_vae,
)

log = logging.getLogger(__name__)

PICTURES, OUTLINES = 24576, 6144


def main() -> None:
    """Train, distil and write the three files in nodes/assets."""
    logging.basicConfig(level=logging.INFO, format=parallel.LOG_FORMAT)
    torch.set_num_threads(2)
    encoder = train_vae.train().eval()
    latents.make_pool(encoder, PICTURES, seed=11, name=train_denoiser.POOL)
    base = train_denoiser.train()
    latents.make_pool(encoder, OUTLINES, seed=12, name=train_lora.POOL, outline=True)
    vae = train_decoder.train()
    log.info("wrote %s", export.write_checkpoint(base, vae, "demo-shapes"))
    log.info("wrote %s", export.write_checkpoint(distill.train(), vae, "demo-shapes-turbo"))
    _, changes = train_lora.train()
    log.info("wrote %s", export.write_lora(changes, "demo-outline-lora"))


if __name__ == "__main__":
    main()
