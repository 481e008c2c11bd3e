"""Families that templates name and that are not here, by the names of their files."""

import re
from collections.abc import Mapping

_LACKING: Mapping[str, str] = {
    r"anima-lllite.*": "Anima LLLite",
    r"boogu.*": "Boogu",
    r"birefnet.*": "BiRefNet",
    r"capybara.*|hunyuanvideo15.*|byt5.*": "Capybara (HunyuanVideo 1.5)",
    r"chroma-radiance.*": "Chroma Radiance",
    r"chronoedit.*|chrono_edit.*": "ChronoEdit (Wan 2.1)",
    r"depth_anything.*|da3.*": "Depth Anything 3",
    r"ernie.*|ministral.*": "ERNIE-Image",
    r"fibo2.*": "Fibo 2",
    r"hidream_o1.*|gemma4.*": "HiDream-O1",
    r"hidream.*|clip_[lg]_hidream|llama.*": "HiDream-I1/E1",
    r"ideogram.*": "Ideogram 4",
    r"joyai.*|qwen3vl_8b_joyimage.*": "JoyAI-Image-Edit",
    r"kandinsky.*": "Kandinsky 5 image",
    r"lens.*|gpt_oss.*": "Lens",
    r"longcat_image_edit.*": "LongCat-Image-Edit",
    r"ltx.*|gemma.3.12b.*": "LTX-2.3",
    r"mage_flow.*": "Mage-Flow",
    r"ming_image.*|qwen3\.8.*": "Ming-Image",
    r"minimax.*|qwen3vl_32b.*": "MiniMax H3",
    r"moge.*": "MoGe",
    r"moss.*": "MOSS-Image",
    r"netayume.*|gemma_2.*": "Gemma 2 (ELM)",
    r"newbie.*|gemma_3_4b.*|jina.*": "NewBie-Image",
    r"omnigen2.*|qwen_2\.5_vl_fp16": "OmniGen2",
    r"ovis.*": "Ovis-Image",
    r"pid_.*": "PiD",
    r"pixeldit.*": "PixelDiT",
    r"qwen_image_.*controlnet": "Qwen-Image's DiffSynth ControlNets",
    r"rt_detr.*": "RT-DETR",
    r"sam3.*": "SAM3",
    r"sdpose.*": "SDPose (SDXL-based)",
    r"seedvr2.*": "SeedVR2",
    r"wan2.*|umt5.*|lightx2v.*|clip_vision_h": "Wan",
}
"""A family by a regular expression of whole names without their suffix, in small letters."""


def lacking_family(name: str) -> str | None:
    """Return the family of a published file that is not here; None if it is not known."""
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0].lower()
    return next((family for names, family in _LACKING.items() if re.fullmatch(names, stem)), None)
