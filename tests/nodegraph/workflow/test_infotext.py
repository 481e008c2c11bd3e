"""Images of AUTOMATIC1111's web UI, whose settings are read as a workflow."""

import io

import pytest
from PIL import Image, PngImagePlugin

from nodegraph.errors import InvalidWorkflowError
from nodegraph.workflow.api_format import to_prompt
from nodegraph.workflow.infotext import read_infotext
from nodegraph.workflow.infotext_graph import graph_of
from nodegraph.workflow.read import read_workflow

FULL = """a cat <lora:detail:0.8> and <lora:style/sub:0.5:0.3>, (best:1.2)
second line
Negative prompt: bad, ugly <lora:less:-1>
more bad
Steps: 25, Sampler: DPM++ SDE Karras, CFG scale: 7.5, Seed: 123456789, Clip skip: 2
Size: 640x512, Model: some/thing"""
END = "\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 512x512, Model: m"
EDITORS = {
    "1": ("CheckpointLoaderSimple", {"ckpt_name": "some/thing"}),
    "2": ("CLIPSetLastLayer", {"stop_at_clip_layer": -2, "clip": ["1", 1]}),
    "3": (
        "CLIPTextEncode",
        {"text": "a cat  and , (best:1.2)\nsecond line", "clip": ["10", 1]},
    ),
    "4": ("CLIPTextEncode", {"text": "bad, ugly \nmore bad", "clip": ["11", 1]}),
    "5": (
        "KSampler",
        {
            "seed": 123456789,
            "steps": 25,
            "cfg": 7.5,
            "sampler_name": "dpmpp_sde",
            "scheduler": "karras",
            "denoise": 1,
            "model": ["11", 0],
            "positive": ["3", 0],
            "negative": ["4", 0],
            "latent_image": ["6", 0],
        },
    ),
    "6": ("EmptyLatentImage", {"width": 640, "height": 512, "batch_size": 1}),
    "7": ("VAEDecode", {"samples": ["5", 0], "vae": ["1", 2]}),
    "8": ("SaveImage", {"filename_prefix": "ComfyUI", "images": ["7", 0]}),
    "9": (
        "LoraLoader",
        {
            "lora_name": "detail",
            "strength_model": 0.8,
            "strength_clip": 0.8,
            "model": ["1", 0],
            "clip": ["2", 0],
        },
    ),
    "10": (
        "LoraLoader",
        {
            "lora_name": "style/sub",
            "strength_model": 0.3,
            "strength_clip": 0.5,
            "model": ["9", 0],
            "clip": ["9", 1],
        },
    ),
    "11": (
        "LoraLoader",
        {
            "lora_name": "less",
            "strength_model": -1,
            "strength_clip": -1,
            "model": ["10", 0],
            "clip": ["10", 1],
        },
    ),
}
"""The nodes that ComfyUI's editor makes of that text, but for the strength that it misreads."""


def made(text):
    info = read_infotext(text)
    assert info is not None
    return graph_of(info)


def inputs(text):
    return {key: node.inputs for key, node in made(text).nodes.items()}


def remarks(text):
    return [remark.message for remark in made(text).remarks[1:]]


def saved(kind, **options):
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, kind, **options)
    return file.getvalue()


def png(text):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("parameters", text)
    return saved("PNG", pnginfo=info)


def with_comment(kind, comment):
    exif = Image.Exif()
    exif[0x8769] = {0x9286: comment}
    return saved(kind, exif=exif)


def test_the_workflow_is_the_editors():
    prompt = to_prompt(made(FULL))

    assert {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()} == EDITORS


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("charset", ["utf-16-be", "utf-16-le", "ascii"])
def test_the_text_is_found_in_each_kind_of_image(kind, charset):
    head = b"ASCII\0\0\0" if charset == "ascii" else b"UNICODE\0"
    image = with_comment(kind, head + FULL.encode(charset)) if kind != "PNG" else png(FULL)

    graph = read_workflow(image)

    assert to_prompt(graph) == to_prompt(made(FULL))
    assert "A1111's parameters" in graph.remarks[0].message


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("Sampler: Euler a", ("euler_ancestral", "normal")),
        ("Sampler: DPM2 a Karras", ("dpm_2_ancestral", "karras")),
        ("Sampler: DPM++ 2S a", ("dpmpp_2s_ancestral", "normal")),
        ("Sampler: DPM++ 2M SDE Exponential", ("dpmpp_2m_sde", "exponential")),
        ("Sampler: DPM++ 2M SGM Uniform", ("dpmpp_2m", "sgm_uniform")),
        ("Sampler: DPM++ 2M, Schedule type: Automatic", ("dpmpp_2m", "karras")),
        ("Sampler: Euler, Schedule type: Automatic", ("euler", "normal")),
        ("Sampler: DPM++ 3M SDE, Schedule type: KL Optimal", ("dpmpp_3m_sde", "kl_optimal")),
        ("Sampler: UniPC", ("uni_pc", "normal")),
        ("Sampler: DDIM", ("ddim", "normal")),
        ("Sampler: DPM fast", ("dpm_fast", "normal")),
    ],
)
def test_samplers_and_schedulers_have_comfyuis_names(settings, expected):
    found = inputs(f"x\nSteps: 5, {settings}")["5"]

    assert (found["sampler_name"], found["scheduler"]) == expected


def test_a_second_pass_enlarges_the_latent_and_has_the_same_seed():
    found = made(f"x{END}, Denoising strength: 0.4, Hires upscale: 1.5, Hires upscaler: Latent")

    assert found.nodes["9"].type_name == "LatentUpscale"
    assert found.nodes["9"].inputs["upscale_method"] == "bilinear"
    assert (found.nodes["9"].inputs["width"], found.nodes["9"].inputs["height"]) == (768, 768)
    again = found.nodes["10"].inputs
    assert (again["seed"], again["steps"], again["denoise"]) == (5, 20, 0.4)
    assert to_prompt(found)["7"]["inputs"]["samples"] == ["10", 0]


def test_a_second_pass_may_enlarge_the_image_with_a_model():
    more = "Hires resize: 1024x768, Hires steps: 9, Hires upscaler: R-ESRGAN 4x+"
    found = made(f"x{END}, {more}, Hires sampler: UniPC")

    types = [found.nodes[str(key)].type_name for key in range(9, 15)]
    assert types == [
        "VAEDecodeTiled",
        "UpscaleModelLoader",
        "ImageUpscaleWithModel",
        "ImageScale",
        "VAEEncodeTiled",
        "KSampler",
    ]
    assert found.nodes["10"].inputs["model_name"] == "RealESRGAN_x4plus"
    assert (found.nodes["12"].inputs["width"], found.nodes["12"].inputs["height"]) == (1024, 768)
    assert found.nodes["14"].inputs["steps"] == 9
    assert found.nodes["14"].inputs["sampler_name"] == "uni_pc"


def test_a_vae_embeddings_and_distilled_guidance_are_carried():
    text = f'a bad-hand, xbad-hand{END}, VAE: v.safetensors, TI hashes: "bad-hand: 12, other: 3"'
    found = inputs(f"{text}, Distilled CFG Scale: 3.5")

    assert found["3"]["text"] == "a embedding:bad-hand, xbad-hand"
    assert found["9"] == {"vae_name": "v.safetensors"}
    assert to_prompt(made(text))["7"]["inputs"]["vae"] == ["9", 0]
    assert found["10"]["guidance"] == 3.5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"x{END}, Version: 1, Model hash: a", []),
        (
            f"x <hypernet:a:1>{END}, Face restoration: CodeFormer",
            ["not carried over: '<hypernet:a:1>', 'Face restoration'."],
        ),
        (f"x{END}, Denoising strength: 0.5", ["it was made from another image"]),
        ("x\nSteps: 5", ["it names no model: add one with --set 1.ckpt_name=FILE."]),
        (f"[less] BREAK{END}", ["'[less]', 'BREAK' in the prompt means nothing"]),
        (f"x{END}, Sampler: PLMS", ["the sampler 'PLMS' is read as 'ipndm'."]),
        (f"x{END}, Schedule type: Turbo", ["the schedule type 'turbo' is read as 'normal'."]),
        (f"<lora:a:nan> <lora:b:te=1>{END}", ["not carried over: '<lora:a:nan>'"]),
    ],
)
def test_what_is_not_carried_is_told(text, told):
    found = remarks(text)

    assert len(found) == len(told)
    assert all(expected in message for expected, message in zip(told, found, strict=True))


def test_values_may_be_quoted_or_json_and_words_without_a_name_are_passed_over():
    values = 'A: "b, \\"c\\"", B: [{"a": 1}, 2], C: {broken, D: e'
    info = read_infotext(f"x\nSteps: 5, odd, {values}\nF: g")

    assert info is not None
    assert info.settings == {
        "Steps": "5",
        "A": 'b, "c"',
        "B": '[{"a": 1}, 2]',
        "C": "{broken",
        "D": "e",
        "F": "g",
    }


def test_the_last_line_of_steps_has_the_settings():
    found = inputs(f"Steps: 3 of a stair\nNegative prompt: x{END}")

    assert found["3"]["text"] == "Steps: 3 of a stair"
    assert found["5"]["steps"] == 20


@pytest.mark.parametrize("text", ["", "{}", "a cat", "Steps: many"])
def test_other_parameters_are_no_workflow(text):
    with pytest.raises(InvalidWorkflowError, match="carries no workflow"):
        read_workflow(png(text))


@pytest.mark.parametrize(
    "part", ["<lora:a", "<lora:a:1>", "[", "[a", "Negative prompt:", "\nSteps: 1", ", A: [", ', "']
)
def test_long_texts_take_no_time_to_read(part):
    assert made(f"{part * 20_000}\nSteps: 5, {part * 20_000}").nodes
