"""`comfy.model_management`: devices and memory, which the engine manages itself."""

import gc
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph.runtime.devices import computes_in_half, default_device, memory_bytes, release_unused
from nodes.comfy.values import runtime


class VRAMState(Enum):
    """The memory mode of the GPU."""

    DISABLED = 0
    NO_VRAM = 1
    LOW_VRAM = 2
    NORMAL_VRAM = 3
    HIGH_VRAM = 4
    SHARED = 5


class CPUState(Enum):
    """The kind of device that computes."""

    GPU = 0
    CPU = 1
    MPS = 2


class InterruptProcessingException(Exception):  # noqa: N818 - the name that packs catch
    """The run was cancelled."""


OOM_EXCEPTION = torch.OutOfMemoryError
XFORMERS_IS_AVAILABLE = False
vram_state = VRAMState.NORMAL_VRAM
cpu_state = CPUState.CPU if default_device().type == "cpu" else CPUState.GPU
current_loaded_models: list[Any] = []


def get_torch_device() -> torch.device:
    """Return the device that models compute on."""
    return default_device()


def _cpu(*_args: object, **_more: object) -> torch.device:
    return torch.device("cpu")


def _device(*_args: object, **_more: object) -> torch.device:
    return default_device()


def _dtype(*_args: object, **_more: object) -> torch.dtype:
    return torch.float16 if computes_in_half(default_device()) else torch.float32


def _yes(*_args: object, **_more: object) -> bool:
    return computes_in_half(default_device())


def _no(*_args: object, **_more: object) -> bool:
    return False


def _nothing(*_args: object, **_more: object) -> None:
    return None


unet_offload_device = intermediate_device = text_encoder_offload_device = vae_offload_device = _cpu
unet_inital_load_device = _cpu
text_encoder_device = vae_device = _device
unet_dtype = text_encoder_dtype = vae_dtype = unet_manual_cast = _dtype
should_use_fp16 = should_use_bf16 = _yes
xformers_enabled = pytorch_attention_enabled = is_directml_enabled = mps_mode = is_amd = _no
is_intel_xpu = is_nvidia = _no
load_models_gpu = load_model_gpu = free_memory = cleanup_models = unload_all_models = _nothing
interrupt_current_processing = _nothing


def get_torch_device_name(device: torch.device) -> str:
    """Return a device's name."""
    return str(device)


def is_device_cpu(device: torch.device) -> bool:
    """Return True if a device is the CPU."""
    return torch.device(device).type == "cpu"


def is_device_mps(device: torch.device) -> bool:
    """Return True if a device is Apple's GPU (MPS)."""
    return torch.device(device).type == "mps"


def cpu_mode() -> bool:
    """Return True if the CPU computes."""
    return default_device().type == "cpu"


def get_autocast_device(device: torch.device) -> str:
    """Return a device's type."""
    return torch.device(device).type


def soft_empty_cache(force: bool = False) -> None:
    """Free the memory that the allocator holds unused."""
    del force
    gc.collect()
    release_unused()


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """Return the free bytes of a device."""
    free, _ = memory_bytes(None if dev is None else torch.device(dev))
    return (free, free) if torch_free_too else free


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """Return the total bytes of a device."""
    _, total = memory_bytes(None if dev is None else torch.device(dev))
    return (total, total) if torch_total_too else total


def module_size(module: nn.Module) -> int:
    """Return the bytes of a network's weights."""
    return sum(value.nbytes for value in module.state_dict().values())


def cast_to_device(
    tensor: Tensor, device: torch.device, dtype: torch.dtype, copy: bool = False
) -> Tensor:
    """Return a tensor on another device, in another dtype."""
    return tensor.to(device=device, dtype=dtype, copy=copy)


def throw_exception_if_processing_interrupted() -> None:
    """Stop if the run was cancelled.

    Raises:
        RunCancelledError: the run was cancelled.
    """
    running = runtime.context()
    if running:
        running.check_cancelled()


def processing_interrupted() -> bool:
    """Return False; if the run was cancelled, the node stops here instead."""
    throw_exception_if_processing_interrupted()
    return False
