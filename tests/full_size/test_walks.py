"""Full-size models through the real code on a pretended card: what it holds, and what a step asks.

No number is computed, and no memory is needed but for weights that are parked on the host.
"""

from typing import NamedTuple

import pytest
import torch

from nodegraph.runtime.model_pool import ModelPool
from nodes.builtin.sampling.ksampler import ksampler
from nodes.models.loading.checkpoint import open_vae
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.values import Cond, Conditioning, Latent
from tests.full_size.models import write_model
from tests.full_size.pretended_card import PretendedCard
from tests.nodes.bench import Bench
from tests.tiny_models.handles import opened

pytestmark = pytest.mark.slow  # on the pretended card: minutes on two cores

FEW, MANY = 1, 2
SLOTS = 300e6
"""Bytes of the buffers that parked weights pass through, at most."""
MOST_OPS = 32
"""What a denoise call may compute beside its network."""


class Kind(NamedTuple):
    dtype: str
    size: int
    length: int
    width: int
    pooled: int | None


KINDS = {
    "sd15": Kind("F16", 512, 77, 768, None),
    "sd21": Kind("F16", 768, 77, 1024, None),
    "sdxl": Kind("F16", 1024, 77, 2048, 1280),
    "refiner": Kind("F16", 1024, 77, 1280, 1280),
    "sd3_medium": Kind("F16", 1024, 154, 4096, 2048),
    "sd35_large": Kind("F16", 1024, 154, 4096, 2048),
    "flux_dev": Kind("BF16", 1024, 512, 4096, 768),
    "flux_schnell": Kind("BF16", 1024, 256, 4096, 768),
    "flux2_klein_4b": Kind("BF16", 1024, 512, 7680, None),
    "flux2_klein_9b": Kind("F8_E4M3", 1024, 512, 12288, None),
    "chroma": Kind("BF16", 1024, 128, 4096, None),
    "z_image": Kind("BF16", 1024, 128, 2560, None),
    "qwen_image": Kind("F8_E4M3", 1024, 128, 3584, None),
    "anima": Kind("BF16", 1024, 128, 1024, None),
    "qwen_image21": Kind("BF16", 1024, 128, 4096, None),
    "flux3": Kind("BF16", 1024, 160, 20480, None),
    "lumina2": Kind("BF16", 1024, 256, 2304, None),
    "longcat_image": Kind("BF16", 1024, 512, 3584, None),
    "krea2": Kind("F8_E4M3", 1024, 128, 12 * 2560, None),
}
READ = {"anima": {"t5xxl_ids": torch.zeros(1, 96).long(), "t5xxl_weights": torch.ones(1, 96)}}
"""What texts bring along besides, by the model."""
CASES = [
    pytest.param(name, marks=() if name == "sd15" else pytest.mark.slow, id=name) for name in KINDS
]


@pytest.mark.parametrize("name", CASES)
def test_a_full_size_model(tmp_path, name):
    kind = KINDS[name]
    path = write_model(tmp_path / f"{name}.safetensors", name, kind.dtype, parts=1)
    with PretendedCard() as card:
        model = ModelHandle(opened(path).model)
        network = model.model.network
        stored = sum(
            network.header.tensors[key].nbytes
            for key in {source.key for source in network.file.sources.values()}
        )
        module = network.module()

        assert card.counts.live_bytes <= 1.02 * stored
        assert stored <= card.counts.bytes_to_device <= 1.001 * stored

        own: list[int] = []
        for hook in (module.register_forward_pre_hook, module.register_forward_hook):
            hook(lambda *_: own.append(card.counts.ops))
        before = card.counts.live_bytes
        extras = READ.get(name, {})
        few, many = (sample(card, model, kind, steps, tmp_path, extras) for steps in (FEW, MANY))
        each = [end - start for start, end in zip(own[::2], own[1::2], strict=True)]
        inside = sum(each[FEW:]) - sum(each[:FEW])
        added = (many.ops - few.ops - inside) / (MANY - FEW)

        assert len(each) == FEW + MANY
        assert added <= MOST_OPS
        assert many.copies_to_host == few.copies_to_host
        assert many.copies_to_device <= few.copies_to_device  # the first run may fill tables
        assert many.syncs == few.syncs
        print(
            f"{name}: {stored / 1e9:.2f} GB in the file, {before / 1e9:.2f} on the card;"
            f" {inside / (MANY - FEW):.0f} ops of the network and {added:.0f} beside it a step;"
            f" peak {(many.peak_bytes - before) / 1e9:.2f} GB above the weights"
        )


def sample(card: PretendedCard, model: ModelHandle, kind: Kind, steps: int, root, extras=None):
    def text() -> Conditioning:
        pooled = None if kind.pooled is None else torch.zeros(1, kind.pooled)
        tokens = torch.zeros(1, kind.length, kind.width)
        return Conditioning((Cond(tokens, pooled, extras=extras or {}),))

    side = kind.size // model.latent_format.downscale
    latent = Latent(torch.zeros(1, model.latent_format.channels, side, side))
    guided = 1.0 if kind.dtype == "BF16" else 7.0
    card.reset()
    ksampler(
        model=model, seed=1, steps=steps, cfg=guided, sampler_name="euler", scheduler="normal",
        positive=text(), negative=text(), latent_image=latent, denoise=1.0, ctx=Bench(root),
    )  # fmt: skip
    return card.counts


def test_memory_beyond_the_budget_is_refused():
    with PretendedCard(budget=1 << 20) as card:
        held = torch.empty(1 << 19, dtype=torch.uint8, device=card.device)
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(1 << 20, dtype=torch.uint8, device=card.device)
        assert (card.counts.live_bytes, card.counts.refusals) == (held.numel(), 1)
        del held
        assert card.counts.live_bytes == 0


def test_what_crosses_is_counted():
    with PretendedCard() as card:
        there = torch.zeros(8).to(card.device)
        back = (there * 2).cpu()

    counts = card.counts
    assert (counts.copies_to_device, counts.bytes_to_device) == (1, 32)
    assert (counts.copies_to_host, counts.bytes_to_host, counts.ops) == (1, 32, 1)
    assert back.is_cpu


@pytest.mark.parametrize(
    ("side", "decoded", "encoded"), [(512, 0.41, 0.34), (1024, 1.62, 1.36)], ids=str
)
def test_a_full_size_vae(tmp_path, side, decoded, encoded):
    path = write_model(tmp_path / "ae.safetensors", "ae", "F32")
    with PretendedCard() as card:
        vae = VaeHandle(open_vae(path, "ae", ModelPool()))
        latent = torch.zeros(1, 16, side // 8, side // 8, device=card.device)
        pixels = torch.zeros(1, 3, side, side, device=card.device)
        vae.vae.network.module()
        peaks: list[float] = []
        for call in (lambda: vae.decode(latent), lambda: vae.encode(pixels)):
            card.reset()
            before = card.counts.live_bytes
            call()
            peaks.append((card.counts.peak_bytes - before) / 1e9)

        assert vae.precision == "bfloat16"
        assert card.counts.live_bytes < 1.02 * vae.weight_bytes + latent.nbytes + pixels.nbytes
        assert peaks[0] <= decoded
        assert peaks[1] <= encoded
        print(
            f"{side}x{side}: {peaks[0]:.3f} GB above the weights to decode,"
            f" {peaks[1]:.3f} to encode"
        )


WITHOUT_MODULATION = {
    "flux_dev": ("BF16", 17.25e9),
    "flux_dev in fp8": ("F8_E4M3", 8.63e9),
    "sd35_large": ("F16", 10.95e9),
}
"""The bytes of all weights that a step reads, at most, by the dtype of the file."""


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_MODULATION)
def test_the_weights_of_modulation_are_not_on_the_card_during_the_steps(tmp_path, name):
    (model_name, *_), (dtype, most) = name.split(), WITHOUT_MODULATION[name]
    kind = KINDS[model_name]
    path = write_model(tmp_path / "model.safetensors", model_name, dtype, parts=1)
    with PretendedCard() as card:
        model = ModelHandle(opened(path).model)
        network = model.model.network
        network.resize(int(most + SLOTS))
        sample(card, model, kind, 1, tmp_path)
        few, many = (sample(card, model, kind, steps, tmp_path) for steps in (2, 4))

        slots = network.held_bytes - most
        print(
            f"{name}: {sum(network.file.sizes.values()) / 1e9:.2f} GB, on the card"
            f" {network.held_bytes / 1e9:.2f}, parked {network.host_bytes / 1e9:.2f};"
            f" a run brings {few.bytes_to_device / 1e9:.2f} GB,"
            f" a step {(many.bytes_to_device - few.bytes_to_device) / 2} bytes;"
            f" peak {many.peak_bytes / 1e9:.2f}"
        )
        assert slots <= SLOTS
        assert many.bytes_to_device - few.bytes_to_device < 1000
        assert many.refusals == 0
