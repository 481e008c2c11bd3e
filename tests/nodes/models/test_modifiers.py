"""Changes inside of networks: what each does to a hidden state, and to what is sampled."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.builtin.sampling.ksampler import ksampler
from nodes.builtin.sampling.skip_layer_guidance import (
    perturbed_attention_guidance,
    skip_layer_guidance_dit,
    skip_layer_guidance_dit_simple,
    skip_layer_guidance_sd3,
)
from nodes.builtin.sampling.unet_patches import (
    free_u,
    free_u_v2,
    hyper_tile,
    patch_model_add_downscale,
    tome_patch_model,
)
from nodes.imaging.filters import scale_frequencies
from nodes.models.loading.forward import denoise
from nodes.models.networks.base.call_context import NetworkCall, during
from nodes.models.networks.base.errors import WrongNetworkError
from nodes.models.networks.modifiers.deep_shrink import DeepShrink
from nodes.models.networks.modifiers.freeu import FreeU
from nodes.models.networks.modifiers.hypertile import HyperTile
from nodes.models.networks.modifiers.perturbed_attention import PerturbedAttention
from nodes.models.networks.modifiers.skip_layers import SkipLayers
from nodes.models.networks.modifiers.token_merging import Pairs, TokenMerging, draw_targets
from nodes.models.networks.modifiers.unet_parts import input_blocks, unet_of
from nodes.sampling.conditioning.denoiser import PreparedCond
from nodes.sampling.conditioning.regions import resolve
from nodes.sampling.guidance.planner import GuidancePlanner, with_ranges
from nodes.sampling.guidance.settings import PLAIN, PerturbedGuidance, UncondModifier
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.sampling.samplers.registry import Call
from nodes.values import CondBatch
from tests.nodes.bench import Bench
from tests.nodes.pictures import grid
from tests.nodes.reference import distance
from tests.tiny_models.samplable import samplable

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: samplable(folder, name) for name in ("sd15", "sdxl", "sd3", "flux")}


@pytest.fixture
def sample(tmp_path):
    def run(kind, model, **more):
        given: dict[str, Any] = {
            "seed": 7,
            "steps": 3,
            "cfg": 3.0,
            "sampler_name": "euler",
            "scheduler": "simple",
            "positive": kind.text(0.3),
            "negative": kind.text(0.7),
            "latent_image": kind.blank(1, 16),
            "ctx": Bench(tmp_path),
        }
        return ksampler(model=model, **{**given, **more}).samples

    return run


def shrink(model, **more):
    given: dict[str, Any] = {"downscale_method": "bicubic", "upscale_method": "bicubic"}
    given |= {"end_percent": 1.0, **more}
    return patch_model_add_downscale(model=model, **given)


NOTHING: dict[str, Any] = {
    "freeu": lambda model: free_u(model, 1.0, 1.0, 1.0, 1.0),
    "freeu 2": lambda model: free_u_v2(model, 1.0, 1.0, 1.0, 1.0),
    "hypertile": lambda model: hyper_tile(model, tile_size=128),
    "merging": lambda model: tome_patch_model(model, 0.0),
    "shrinking": lambda model: shrink(model, downscale_factor=1.0),
    "shrinking never": lambda model: shrink(model, start_percent=1.0),
    "perturbed": lambda model: perturbed_attention_guidance(model, 0.0),
}
SOMETHING: dict[str, Any] = {
    "freeu": free_u,
    "freeu 2": free_u_v2,
    "hypertile": lambda model: hyper_tile(model, tile_size=32, max_depth=1),
    "merging": lambda model: tome_patch_model(model, 0.5),
    "shrinking": lambda model: shrink(model, block_number=1),
    "shrinking before": lambda model: shrink(model, block_number=2, downscale_after_skip=False),
    "perturbed": perturbed_attention_guidance,
}


@pytest.mark.parametrize("what", NOTHING)
def test_settings_that_mean_nothing_change_nothing(kinds, sample, what):
    kind = kinds["sd15"]

    assert distance(sample(kind, NOTHING[what](kind.model)), sample(kind, kind.model)) <= 1e-4


@pytest.mark.parametrize(
    ("name", "what"),
    [*(("sd15", what) for what in SOMETHING), ("sdxl", "freeu 2"), ("sdxl", "hypertile")],
)
def test_a_change_shows_and_the_model_stays_as_it_was(kinds, sample, name, what):
    kind = kinds[name]
    before = sample(kind, kind.model)

    changed = SOMETHING[what](kind.model)

    made = sample(kind, changed)
    assert made.isfinite().all()
    assert distance(made, before) > 1e-3
    assert torch.equal(sample(kind, changed), made)
    assert torch.equal(sample(kind, kind.model), before)


def test_changes_add_up_in_any_number(kinds, sample):
    kind = kinds["sd15"]
    both = shrink(free_u_v2(kind.model), block_number=1)

    singles = [
        sample(kind, free_u_v2(kind.model)),
        sample(kind, shrink(kind.model, block_number=1)),
    ]

    made = sample(kind, tome_patch_model(hyper_tile(both, 64)))
    assert made.isfinite().all()
    assert all(distance(sample(kind, both), single) > 1e-3 for single in singles)


def test_a_changed_network_shares_its_weights_with_the_base(kinds):
    network = kinds["sd15"].model.model.network
    base, changed = network.module(), network.module((), (FreeU((1.1, 1.2), (0.9, 0.2)),))

    own = changed.state_dict()
    assert base is not changed
    assert all(own[key].data_ptr() == value.data_ptr() for key, value in base.state_dict().items())
    assert network.module((), (FreeU((1.1, 1.2), (0.9, 0.2)),)) is changed


def test_one_half_of_the_backbone_is_raised_and_coarse_skips_are_scaled(kinds):
    """At as many channels as the paper's stages have; elsewhere nothing happens."""
    unet: Any = kinds["sd15"].model.model.network.module((), (FreeU((9, 2), (9, 0.5)),))
    (join,) = unet.up_blocks[0].joins
    hidden, beside = grid((2, 64, 4, 4), 0.3), grid((2, 32, 4, 4), 0.7)

    raised, scaled = join(hidden, beside)

    assert torch.equal(raised[:, :32], hidden[:, :32] * 2)
    assert torch.equal(raised[:, 32:], hidden[:, 32:])
    assert torch.equal(scaled, scale_frequencies(beside, 1, 0.5))
    assert join(beside, hidden) == (beside, hidden)


def test_the_second_version_raises_the_most_where_the_mean_is_highest(kinds):
    unet: Any = kinds["sd15"].model.model.network.module((), (FreeU((9, 2), (9, 1), True),))
    (join,) = unet.up_blocks[0].joins
    hidden = torch.ones(1, 64, 2, 2) * torch.tensor([[1.0, 2.0], [3.0, 5.0]])

    raised, _ = join(hidden, hidden)

    expected = torch.tensor([[1.0, 1.25], [1.5, 2.0]])
    torch.testing.assert_close(raised[0, 0] / hidden[0, 0], expected)
    assert torch.equal(raised[:, 32:], hidden[:, 32:])


def test_low_frequencies_are_the_mean_and_the_slowest_waves():
    still, fast = torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    fast[..., 1::2] = -1

    torch.testing.assert_close(scale_frequencies(still + fast, 1, 0.5), 0.5 * still + fast)
    torch.testing.assert_close(scale_frequencies(still + fast, 1, 1.0, 3.0), still + 3 * fast)


def call(height: int, width: int, sigma: float = 1.0) -> NetworkCall:
    return NetworkCall(height, width, torch.tensor([sigma]), lambda fraction: 10.0 * (1 - fraction))


def test_each_tile_attends_to_itself_alone():
    """A network that takes the mean of all it sees, on a picture of 4x8 with tiles of 4x4."""
    tiling = HyperTile(tile=32, choices=1, depth=0, grows=False)
    module = torch.nn.Module()
    module.attn1 = torch.nn.Module()
    hidden = grid((2, 32, 3), 0.4)
    rows, columns, height, width = tiling.tiles(call(4, 8), 32, 0)
    assert (rows, columns, height, width) == (1, 2, 4, 4)

    made = through(tiling, hidden, call(4, 8))

    picture = hidden.reshape(2, 4, 8, 3)
    for part in (slice(0, 4), slice(4, 8)):
        mean = picture[:, :, part].mean(dim=(1, 2))
        found = made.reshape(2, 4, 8, 3)[:, :, part]
        torch.testing.assert_close(found, mean[:, None, None].expand_as(found))


def through(tiling: HyperTile, hidden: Tensor, at: NetworkCall) -> Tensor:
    from nodes.models.networks.modifiers.hypertile import _Tiling

    with during(at):
        return _Tiling(tiling, 0)(lambda x: x.mean(dim=1, keepdim=True).expand_as(x), hidden)


def test_tiles_divide_the_picture_and_are_as_large_as_asked_or_larger():
    tiling = HyperTile(tile=128, choices=3, depth=1, grows=True)

    drawn = {tiling.tiles(call(48, 64, s / 10), 48 * 64, 0)[2:] for s in range(1, 200)}
    halved = {tiling.tiles(call(48, 64, s / 10), 24 * 32, 0)[2:] for s in range(1, 200)}

    assert drawn == {(h, w) for h in (16, 24, 48) for w in (16, 32, 64)}
    assert halved == {(24, 32)}
    assert tiling.tiles(call(48, 64), 12 * 16, 0) == (1, 1, 1, 12 * 16)


def test_tokens_that_are_alike_merge_without_loss():
    """Four kinds of tokens, in stripes: each stands for its like."""
    kinds_of_tokens = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(3))
    hidden = kinds_of_tokens.repeat(2, 16, 1)
    targets = torch.zeros(64, dtype=torch.bool)
    targets[::3] = True

    pairs = Pairs.most_alike(hidden, targets, 30)

    merged = pairs.merge(hidden)
    assert merged.shape == (2, 34, 8)
    torch.testing.assert_close(pairs.unmerge(merged), hidden)


def test_what_merges_is_the_mean_and_comes_back_to_every_place():
    hidden = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [3.0, 0.1], [0.0, 5.0]]])
    targets = torch.tensor([True, True, False, False])

    pairs = Pairs.most_alike(hidden, targets, 1)

    merged = pairs.merge(hidden)
    assert pairs.goes.tolist() == [[3]]
    assert sorted(merged[0].tolist()) == [[0.0, 3.0], [1.0, 0.0], pytest.approx([3.0, 0.1])]
    assert (
        pairs.unmerge(merged)[0, 3].tolist() == pairs.unmerge(merged)[0, 1].tolist() == [0.0, 3.0]
    )


def test_of_every_four_neighbours_one_stays():
    targets = draw_targets(call(6, 9)).reshape(6, 9)

    assert targets[:, 8].sum() == 0
    cells = targets[:, :8].reshape(3, 2, 4, 2).sum(dim=(1, 3))
    assert torch.equal(cells, torch.ones(3, 4, dtype=torch.int64))
    assert not torch.equal(targets.flatten(), draw_targets(call(6, 9, 2.0)))


def test_no_more_merge_than_there_are_neighbours(kinds, sample):
    kind = kinds["sd15"]

    most = sample(kind, tome_patch_model(kind.model, 0.75))

    assert torch.equal(most, sample(kind, tome_patch_model(kind.model, 1.0)))


def test_blocks_of_the_way_down_are_numbered_as_in_the_original_layout(kinds):
    unet = unet_of(kinds["sd15"].model.model.network.module(), "a test")

    names = [[type(part).__name__ for part in block] for block in input_blocks(unet)]

    assert names == [
        ["Conv2d"],
        ["ResnetBlock2D", "Transformer2DModel"],
        ["Downsample2D"],
        ["ResnetBlock2D"],
    ]


@pytest.mark.parametrize(
    ("block", "after_skip", "factor", "sides"),
    [
        (1, True, 2.0, [16, 8, 4]),
        (1, False, 2.0, [16, 8, 4]),
        (2, True, 2.0, [16, 16, 4]),
        (1, True, 1.6, [16, 10, 5]),
    ],
)
def test_a_picture_is_smaller_from_a_block_on(kinds, sample, block, after_skip, factor, sides):
    """As seen by the first resnet, the downsampler and the middle."""
    kind, seen = kinds["sd15"], list[int]()
    made = shrink(
        kind.model, block_number=block, downscale_after_skip=after_skip, downscale_factor=factor
    )
    unet: Any = kind.model.model.network.module((), made.alterations)
    parts = [unet.down_blocks[0].resnets[0], unet.down_blocks[0].downsamplers[0].conv]
    parts.append(unet.mid_block.resnets[0].norm1)
    hooks = [
        p.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-1])) for p in parts
    ]

    result = sample(kind, made, steps=1)

    for hook in hooks:
        hook.remove()
    assert seen == sides
    assert result.shape == kind.blank(1, 16).samples.shape


def test_shrinking_ends_with_its_part_of_the_schedule(kinds, sample):
    """Simple's three levels are those of 0 %, a third and two thirds."""
    kind, seen = kinds["sd15"], list[int]()
    made = shrink(kind.model, block_number=1, end_percent=0.5)
    unet: Any = kind.model.model.network.module((), made.alterations)
    hook = unet.mid_block.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-1]))

    sample(kind, made)

    hook.remove()
    assert seen == [4, 4, 8]


def test_a_block_that_is_not_there_is_refused(kinds):
    with pytest.raises(BadSettingError, match="block_number is 4, but the model has 3 blocks"):
        shrink(kinds["sd15"].model, block_number=4)


def test_one_place_alone_can_not_be_perturbed(kinds, sample):
    """In the middle of the U-Net a latent of 2x2 is one place, which attends to itself anyway."""
    kind = kinds["sd15"]
    perturbed = perturbed_attention_guidance(kind.model)

    for size, differs in ((2, False), (8, True)):
        one, other = (
            sample(kind, model, latent_image=kind.blank(2, size))
            for model in (kind.model, perturbed)
        )
        assert (distance(one, other) > 1e-3) == differs


def test_a_perturbed_prediction_leads_on_top_of_the_guidance(kinds):
    """x0 = guided + scale (cond - weak), each as the network itself gives it."""
    kind = kinds["sd15"]
    x, sigma = grid((1, 4, 8, 8), 0.7) * 5, torch.tensor([5.0])
    cond, uncond = (CondBatch(kind.text(step).conds[0].tokens) for step in (0.3, 0.7))
    weak_model = kind.model.with_alteration(PerturbedAttention())
    good, bad, weak = (
        denoise(model, x, sigma, c)
        for model, c in ((kind.model, cond), (kind.model, uncond), (weak_model, cond))
    )

    found = guided(kind, perturbed_attention_guidance(kind.model, 2.0), x, sigma)

    torch.testing.assert_close(
        found, bad + 3 * (good - bad) + 2 * (good - weak), rtol=1e-3, atol=1e-3
    )


def guided(kind, model, x, sigma):
    facts = model.parameterization
    texts = [[PreparedCond.from_cond(c) for c in kind.text(step).conds] for step in (0.3, 0.7)]
    branches = resolve(texts[0], texts[1], (x.shape[-2], x.shape[-1]), facts)
    guidance = GuidancePlanner(
        *branches,
        3.0,
        model.guidance,
        perturbed=with_ranges(model.guidance.perturbed, facts),
        uncond_modifiers=with_ranges(model.guidance.uncond_modifiers, facts),
    )
    asked = Call(x, sigma, 0)
    calls = guidance.plan(asked)
    outputs = [denoise(model, c.x, c.sigma, c.cond) for c in calls]
    return guidance.combine(asked, calls, outputs).x0


def test_rescaling_brings_all_guidance_to_the_deviation_of_the_positive():
    generator = torch.Generator().manual_seed(1)
    led, cond, weak = torch.randn(3, 2, 4, 8, 8, generator=generator)

    found = PerturbedGuidance(PerturbedAttention(), 3.0, rescale=1.0).apply(led * 3, cond, weak)

    torch.testing.assert_close(found.std(dim=(1, 2, 3)), cond.std(dim=(1, 2, 3)))


def test_skipped_layers_are_those_that_diffusers_skips(kinds):
    """Its own transformer can leave blocks out, too."""
    kind = kinds["sd3"]
    network = kind.model.model.network
    whole: Any = network.module()
    last = len(whole.transformer_blocks) - 1
    skipped: Any = network.module((), (SkipLayers((last - 1, 99)),))
    given = {
        "hidden_states": grid((1, 16, 8, 8), 0.7),
        "encoder_hidden_states": kind.text(0.3).conds[0].tokens,
        "pooled_projections": kind.text(0.3).conds[0].pooled,
        "timestep": torch.tensor([500.0]),
        "return_dict": False,
    }

    with torch.no_grad():
        (found,) = skipped(**given)
        (expected,) = whole(**given, skip_layers=[last - 1])
        (unskipped,) = whole(**given)

    assert torch.equal(found, expected)
    assert not torch.allclose(found, unskipped)


def test_single_layers_of_flux_are_skipped_by_their_own_numbers(kinds, sample):
    kind = kinds["flux"]
    given: dict[str, Any] = {"start_percent": 0.0, "end_percent": 1.0}

    made = [
        sample(
            kind,
            skip_layer_guidance_dit(model=kind.model, double_layers=d, single_layers=s, **given),
        )
        for d, s in (("", ""), ("77", "99"), ("0", ""), ("", "0"))
    ]

    plain = sample(kind, kind.model)
    assert torch.equal(made[0], plain)
    assert distance(made[1], plain) <= 1e-4
    assert all(distance(one, plain) > 1e-3 for one in made[2:])
    assert distance(made[2], made[3]) > 1e-3


def test_skip_layer_guidance_holds_in_its_part_of_the_schedule(kinds):
    """It costs a call where it holds, and the simple kind costs none at all."""
    kind = kinds["sd3"]
    texts = [[PreparedCond.from_cond(c) for c in kind.text(step).conds] for step in (0.3, 0.7)]
    facts = kind.model.parameterization
    branches = resolve(texts[0], texts[1], (8, 8), facts)
    sd3 = skip_layer_guidance_sd3(kind.model, "0", start_percent=0.2, end_percent=0.6)
    simple = skip_layer_guidance_dit_simple(kind.model, "0", "", 0.2, 0.6)

    def rows(model, fraction):
        settings = model.guidance
        guidance = GuidancePlanner(
            *branches,
            3.0,
            settings,
            perturbed=with_ranges(settings.perturbed, facts),
            uncond_modifiers=with_ranges(settings.uncond_modifiers, facts),
        )
        sigma = torch.tensor(facts.percent_to_sigma(fraction))
        calls = guidance.plan(Call(torch.zeros(1, 16, 8, 8), sigma, 0))
        return [(len(c.x), len(c.cond.alterations), [at for at, _ in c.chunks]) for c in calls]

    assert rows(sd3, 0.1) == rows(sd3, 0.7) == rows(simple, 0.7) == [(2, 0, [0, 1])]
    assert rows(sd3, 0.4) == [(2, 0, [0, 1]), (1, 1, [2])]
    assert rows(simple, 0.4) == [(1, 0, [0]), (1, 1, [1])]


def test_layers_without_numbers_leave_the_model_as_it_is(kinds):
    model = kinds["sd3"].model

    assert skip_layer_guidance_sd3(model, "") is model
    assert skip_layer_guidance_dit_simple(model, "none", " ") is model
    assert model.guidance == PLAIN
    named = skip_layer_guidance_dit_simple(model, "1, 3", "2").guidance.uncond_modifiers
    assert named == (UncondModifier(SkipLayers((1, 3), (2,)), 0.0, 1.0),)


@pytest.mark.parametrize(
    ("name", "patch", "wanted"),
    [
        ("flux", free_u, "FreeU is for a U-Net"),
        ("sd3", tome_patch_model, "TomePatchModel is for a U-Net"),
        ("flux", hyper_tile, "HyperTile is for a U-Net"),
        ("sd3", perturbed_attention_guidance, "PerturbedAttentionGuidance is for a U-Net"),
        ("flux", shrink, "PatchModelAddDownscale is for a U-Net"),
        ("sd15", skip_layer_guidance_sd3, "Skip layer guidance is for a transformer"),
        ("sd15", skip_layer_guidance_dit_simple, "Skip layer guidance is for a transformer"),
    ],
)
def test_a_network_of_another_kind_is_refused_by_the_node(kinds, name, patch, wanted):
    with pytest.raises(WrongNetworkError, match=wanted):
        patch(kinds[name].model)


def test_alterations_are_equal_by_what_they_do():
    shrunk = DeepShrink(3, 2.0, 0.0, 0.5, True, "bicubic", "bilinear")

    assert {
        TokenMerging(0.5),
        TokenMerging(0.5),
        PerturbedAttention(),
        PerturbedAttention(),
        shrunk,
    } == {
        TokenMerging(0.5),
        PerturbedAttention(),
        DeepShrink(3, 2.0, 0.0, 0.5, True, "bicubic", "bilinear"),
    }
