"""The names by which pip installs what packs import, and packages that replace each other."""

import re

_OTHER_NAMES = """
Crypto pycryptodome
OpenSSL pyOpenSSL
PIL pillow
attr attrs
bs4 beautifulsoup4
clip_interrogator clip-interrogator
colour colour-science
cpuinfo py-cpuinfo
cv2 opencv-python
dateutil python-dateutil
docx python-docx
dotenv python-dotenv
fitz pymupdf
git GitPython
github PyGithub
groundingdino groundingdino-py
imageio_ffmpeg imageio-ffmpeg
jwt PyJWT
magic python-magic
matrix_client matrix-client
mpl_toolkits matplotlib
open_clip open-clip-torch
pillow_heif pillow-heif
pkg_resources setuptools
pynvml nvidia-ml-py
pytorch_lightning pytorch-lightning
pywt PyWavelets
segment_anything segment-anything
skimage scikit-image
sklearn scikit-learn
slugify python-slugify
talib TA-Lib
telegram python-telegram-bot
transparent_background transparent-background
websocket websocket-client
win32api pywin32
yaml pyyaml
"""
_SAME_NAMES = """
accelerate addict aiohttp albumentations av bitsandbytes blend_modes cachetools chardet
color_matcher deepdiff diffusers dill diskcache dynamicprompts einops facexlib ftfy fvcore gguf
huggingface_hub imageio insightface iopath kornia lark librosa loguru lpips matplotlib mediapipe
moviepy mss natsort numba numexpr numpy omegaconf onnx onnxruntime openai pandas peft piexif pillow
pixeloe pooch psutil pydantic pymatting qrcode rembg requests rich safetensors scipy sentencepiece
simpleeval soundfile spandrel timm tokenizers toml tomli torchaudio torchsde torchvision tqdm
transformers trimesh triton typer ultralytics webcolors xformers yacs yapf
"""
_WORDS = _OTHER_NAMES.split()
_BY_MODULE: dict[str, str] = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True)) | {
    name: name for name in _SAME_NAMES.split()
}
_REPLACE_EACH_OTHER = (
    (
        "opencv-python",
        "opencv-python-headless",
        "opencv-contrib-python",
        "opencv-contrib-python-headless",
    ),
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
    ("pynvml", "nvidia-ml-py"),
    ("insightface", "insightface-headless"),
)
FIT_TORCH = ("torch", "torchvision", "torchaudio", "xformers")
"""Packages of which each version fits one version and build of torch."""


def canonical(name: str) -> str:
    """Return a distribution's name in lower case with single hyphens, as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pip_name(module: str) -> str:
    """Return the name by which pip installs a module; empty if it is not known.

    A package of the module's own name may be there, and be somebody else's.
    """
    return _BY_MODULE.get(module, "")


def replacements(name: str) -> tuple[str, ...]:
    """Return the distributions of which any one is enough, the one itself first."""
    own = canonical(name)
    others = next((group for group in _REPLACE_EACH_OTHER if own in group), ())
    return (own, *(other for other in others if other != own))
