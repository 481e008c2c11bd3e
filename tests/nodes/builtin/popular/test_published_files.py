"""Nodes of packs as the editor saved them in published files, read as the packs' own would be."""

from typing import Any

import pytest

from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.packs.editor_shapes import shapes_of
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_any
from tests.nodegraph.drawn import drawn, item


@pytest.fixture(scope="module")
def catalog():
    return Registry.load(["nodes"]).catalog


def inputs_of(catalog, tmp_path, *nodes, links=()):
    shapes = shapes_of(catalog, Files(Folders.under(tmp_path)))
    graph = read_any(drawn(*nodes, links=links), shapes)
    return {key: node.inputs for key, node in graph.nodes.items()}


IMAGE = item(9, "EmptyImage", values=[64, 64, 1, 0])
FROM_IMAGE = [[1, 9, 0, 1, 0, "IMAGE"]]

FILES: dict[str, tuple[Any, dict[str, Any]]] = {
    "ImageResize+": (
        item(
            1,
            "ImageResize+",
            "image:IMAGE=1",
            values=[832, 0, "lanczos", "keep proportion", "always", 8],
        ),
        {"width": 832, "height": 0, "interpolation": "lanczos", "method": "keep proportion"}
        | {"condition": "always", "multiple_of": 8},
    ),
    "ImageResizeKJ with placeholders of its linked sides": (
        item(
            1,
            "ImageResizeKJ",
            *("image:IMAGE=1", "get_image_size:IMAGE", "width_input:INT!", "height_input:INT!"),
            values=[704, 512, "nearest-exact", True, 2, 0, 0],
        ),
        {"width": 704, "height": 512, "upscale_method": "nearest-exact", "keep_proportion": True}
        | {"divisible_by": 2, "crop": 0},
    ),
    "ImageResizeKJ with a crop": (
        item(
            1,
            "ImageResizeKJ",
            *("image:IMAGE=1", "get_image_size:IMAGE", "width_input:INT!", "height_input:INT!"),
            values=[704, 512, "lanczos", False, 16, 0, 0, "center"],
        ),
        {"width": 704, "height": 512, "upscale_method": "lanczos", "keep_proportion": False}
        | {"divisible_by": 16, "crop": "center"},
    ),
    "ImageConcatMulti and its button": (
        item(
            1,
            "ImageConcatMulti",
            "image_1:IMAGE=1",
            "image_2:IMAGE",
            values=[2, "right", False, None],
        ),
        {"inputcount": 2, "direction": "right", "match_image_size": False},
    ),
    "CannyEdgePreprocessor": (
        item(1, "CannyEdgePreprocessor", "image:IMAGE=1", values=[100, 200, 768]),
        {"low_threshold": 100, "high_threshold": 200, "resolution": 768},
    ),
    "Seed (rgthree) and its buttons": (
        item(1, "Seed (rgthree)", outputs="INT", values=[612, "", "", ""]),
        {"seed": 612},
    ),
    "INTConstant": (item(1, "INTConstant", outputs="INT", values=[25]), {"value": 25}),
    "Text Concatenate": (
        item(
            1,
            "Text Concatenate",
            "text_a:STRING",
            "text_b:STRING",
            outputs="STRING",
            values=[", ", "true"],
        ),
        {"delimiter": ", ", "clean_whitespace": "true"},
    ),
    "Text Random Line": (
        item(1, "Text Random Line", "text:STRING!", outputs="STRING", values=[7, "randomize"]),
        {"seed": 7},
    ),
    "Text Random Line with the text of a widget": (
        item(1, "Text Random Line", "text:STRING!", outputs="STRING", values=["", 7, "randomize"]),
        {"seed": 7},
    ),
    "CR Seed": (item(1, "CR Seed", outputs="INT STRING", values=[5, "fixed"]), {"seed": 5}),
    "UnetLoaderGGUF": (
        item(1, "UnetLoaderGGUF", outputs="MODEL", values=["flux1-dev-Q4_K_S.gguf"]),
        {"unet_name": "flux1-dev-Q4_K_S.gguf"},
    ),
    "IPAdapterAdvanced": (
        item(
            1,
            "IPAdapterAdvanced",
            *("model:MODEL", "ipadapter:IPADAPTER", "image:IMAGE=1", "image_negative:IMAGE"),
            *("attn_mask:MASK", "clip_vision:CLIP_VISION"),
            values=[1, "composition (SDXL)", "concat", 0, 1, "V only"],
        ),
        {"weight": 1, "weight_type": "composition (SDXL)", "combine_embeds": "concat"}
        | {"start_at": 0, "end_at": 1, "embeds_scaling": "V only"},
    ),
    "IPAdapterUnifiedLoader": (
        item(
            1, "IPAdapterUnifiedLoader", outputs="MODEL IPADAPTER", values=["PLUS (high strength)"]
        ),
        {"preset": "PLUS (high strength)"},
    ),
    "PrepImageForClipVision": (
        item(1, "PrepImageForClipVision", "image:IMAGE=1", values=["LANCZOS", "center", 0.12]),
        {"interpolation": "LANCZOS", "crop_position": "center", "sharpening": 0.12},
    ),
    "UltimateSDUpscale": (
        item(
            1,
            "UltimateSDUpscale",
            *("image:IMAGE=1", "model:MODEL", "positive:CONDITIONING", "negative:CONDITIONING"),
            *("vae:VAE", "upscale_model:UPSCALE_MODEL"),
            values=[
                *(2, 159, "fixed", 15, 8.5, "dpmpp_sde", "karras", 0.2, "Chess", 512, 768),
                *(8, 48, "None", 1, 64, 8, 16, "enable"),
            ],
        ),
        {"upscale_by": 2, "seed": 159, "steps": 15, "cfg": 8.5, "sampler_name": "dpmpp_sde"}
        | {"scheduler": "karras", "denoise": 0.2, "mode_type": "Chess", "tile_width": 512}
        | {"tile_height": 768, "mask_blur": 8, "tile_padding": 48, "seam_fix_mode": "None"}
        | {"seam_fix_denoise": 1, "seam_fix_width": 64, "seam_fix_mask_blur": 8}
        | {"seam_fix_padding": 16, "force_uniform_tiles": "enable", "tiled_decode": False}
        | {"batch_size": 1},
    ),
    "KSampler (Efficient), whose script has taken its control": (
        item(
            1,
            "KSampler (Efficient)",
            *("model:MODEL", "positive:CONDITIONING", "negative:CONDITIONING"),
            *("latent_image:LATENT", "optional_vae:VAE", "script:SCRIPT"),
            values=[863, None, 7, 1.5, "dpmpp_sde_gpu", "karras", 0.33, "auto", "true"],
        ),
        {"seed": 863, "steps": 7, "cfg": 1.5, "sampler_name": "dpmpp_sde_gpu"}
        | {"scheduler": "karras", "denoise": 0.33, "preview_method": "auto", "vae_decode": "true"},
    ),
    "Efficient Loader": (
        item(
            1,
            "Efficient Loader",
            *("lora_stack:LORA_STACK", "cnet_stack:CONTROL_NET_STACK"),
            values=[
                "x.ckpt",
                "Baked VAE",
                -1,
                "None",
                1,
                1,
                "a",
                "b",
                "none",
                "A1111",
                512,
                768,
                2,
            ],
        ),
        {"ckpt_name": "x.ckpt", "vae_name": "Baked VAE", "clip_skip": -1, "lora_name": "None"}
        | {"lora_model_strength": 1, "lora_clip_strength": 1, "positive": "a", "negative": "b"}
        | {"token_normalization": "none", "weight_interpretation": "A1111"}
        | {"empty_latent_width": 512, "empty_latent_height": 768, "batch_size": 2},
    ),
    "ColorMatch": (
        item(1, "ColorMatch", "image_ref:IMAGE=1", "image_target:IMAGE", values=["mkl", 0.8, True]),
        {"method": "mkl", "strength": 0.8, "multithread": True},
    ),
    "SimpleMath+": (
        item(1, "SimpleMath+", "a:INT,FLOAT", "b:*", "c:*", outputs="INT FLOAT", values=["a*2"]),
        {"value": "a*2"},
    ),
    "VHS_VideoCombine, whose values have names": (
        item(
            1,
            "VHS_VideoCombine",
            *("images:IMAGE", "audio:AUDIO", "meta_batch:VHS_BatchManager", "vae:VAE"),
            outputs="VHS_FILENAMES",
        )
        | {
            "widgets_values": {
                "frame_rate": 24,
                "loop_count": 0,
                "filename_prefix": "x",
                "format": "video/h264-mp4",
                "pix_fmt": "yuv420p",
                "crf": 19,
                "save_metadata": True,
                "trim_to_audio": False,
                "pingpong": False,
                "save_output": True,
                "videopreview": {"hidden": False, "params": {}},
            }
        },
        {"frame_rate": 24, "loop_count": 0, "filename_prefix": "x", "format": "video/h264-mp4"}
        | {"pix_fmt": "yuv420p", "crf": 19, "save_metadata": True, "trim_to_audio": False}
        | {"pingpong": False, "save_output": True},
    ),
    "VHS_LoadVideo of 2024": (
        item(1, "VHS_LoadVideo", "batch_manager:VHS_BatchManager", outputs="IMAGE INT AUDIO")
        | {
            "widgets_values": {
                "video": "d6.mp4",
                "force_rate": 0,
                "force_size": "Disabled",
                "custom_width": 512,
                "custom_height": 512,
                "frame_load_cap": 120,
                "skip_first_frames": 0,
                "select_every_nth": 1,
                "choose video to upload": "image",
            }
        },
        {"video": "d6.mp4", "force_rate": 0, "custom_width": 512, "custom_height": 512}
        | {"frame_load_cap": 120, "skip_first_frames": 0, "select_every_nth": 1}
        | {"force_size": "Disabled"},
    ),
    "CR LoRA Stack": (
        item(
            1,
            "CR LoRA Stack",
            "lora_stack:LORA_STACK",
            outputs="LORA_STACK STRING",
            values=["On", "a.safetensors", 1, 0.8, "Off", "None", 1, 1, "Off", "None", 1, 1],
        ),
        {"switch_1": "On", "lora_name_1": "a.safetensors", "model_weight_1": 1}
        | {"clip_weight_1": 0.8, "switch_2": "Off", "lora_name_2": "None", "model_weight_2": 1}
        | {"clip_weight_2": 1, "switch_3": "Off", "lora_name_3": "None", "model_weight_3": 1}
        | {"clip_weight_3": 1},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_widgets_are_read_in_the_packs_order(catalog, tmp_path, name):
    saved, expected = FILES[name]
    links = FROM_IMAGE if any(slot["link"] for slot in saved["inputs"]) else []

    found = inputs_of(catalog, tmp_path, IMAGE, saved, links=links)["1"]

    widgets = {
        key: value for key, value in found.items() if key not in ("image", "image_1", "image_ref")
    }
    assert widgets == expected
