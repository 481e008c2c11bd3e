"""`python -m training` trains every stage; `python -m training evaluate` measures the files.

Finished stages are read from training/runs.
"""

import argparse
import logging
from dataclasses import replace

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
from training.evaluate import PROMPTS, evaluate, report
from training.pictures import TURBO, Settings, from_nodes

log = logging.getLogger(__name__)

PICTURES, OUTLINES = 24576, 6144
OUTLINE_LORA = "demo-outline-lora.safetensors"


def train() -> None:
    """Train, distil and write the three files in nodes/assets."""
    torch.set_num_threads(2)
    encoder = train_vae.train().eval()
    latents.make_pool(encoder, PICTURES, seed=11, name=train_denoiser.POOL)
    train_denoiser.train()
    latents.make_pool(encoder, OUTLINES, seed=12, name=train_lora.POOL, outline=True)
    vae = train_decoder.train()
    log.info("wrote %s", export.write_checkpoint(distill.train(), vae, "demo-shapes-turbo"))
    base = train_denoiser.train(train_denoiser.REFINED)
    log.info("wrote %s", export.write_checkpoint(base, vae, "demo-shapes"))
    _, changes = train_lora.train()
    log.info("wrote %s", export.write_lora(changes, "demo-outline-lora"))


def measure(count: int) -> None:
    """Print how many pictures for the evaluation's prompts are right, made by the nodes."""
    for settings in (*(Settings(cfg=cfg) for cfg in (2.0, 1.0, 4.0, 6.0)), TURBO):
        print(settings)
        print(report(evaluate(from_nodes(settings), count)), flush=True)
    outlines = replace(Settings(), lora=OUTLINE_LORA)
    print(outlines)
    print(report(evaluate(from_nodes(outlines), count, outline=True)))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("train", "evaluate"), default="train")
    parser.add_argument("--count", type=int, default=PROMPTS, help="prompts to evaluate with")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=parallel.LOG_FORMAT)
    if arguments.what == "train":
        train()
    else:
        measure(arguments.count)


if __name__ == "__main__":
    main()
