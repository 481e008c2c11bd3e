"""`comfy.model_management`: devices and memory, which the engine manages itself."""

import gc
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph.runtime.devices import (
    computes_in_half,
    computing_dtype,
    default_device,
    device_maker,
    free_bytes,
    has_bfloat16,
    is_cuda,
    memory_bytes,
    release_unused,
    unused_bytes,
)
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
cpu_state = {"cpu": CPUState.CPU, "mps": CPUState.MPS}.get(default_device().type, CPUState.GPU)
current_loaded_models: list[Any] = []


def get_torch_device() -> torch.device:
    """Return the device that models compute on."""
    return default_device()


def _cpu(*_args: object, **_more: object) -> torch.device:
    return torch.device("cpu")


def _device(*_args: object, **_more: object) -> torch.device:
    return default_device()


def _dtype(*_args: object, **_more: object) -> torch.dtype:
    return computing_dtype(default_device(), torch.float16)


def _vae_dtype(*_args: object, **_more: object) -> torch.dtype:
    return computing_dtype(default_device(), torch.bfloat16, torch.float32)


def _float32(*_args: object, **_more: object) -> torch.dtype:
    return torch.float32


def _no(*_args: object, **_more: object) -> bool:
    return False


def _nothing(*_args: object, **_more: object) -> None:
    return None


unet_offload_device = intermediate_device = text_encoder_offload_device = vae_offload_device = _cpu
unet_inital_load_device = _cpu
text_encoder_device = vae_device = _device
unet_dtype = text_encoder_dtype = unet_manual_cast = _dtype
vae_dtype = _vae_dtype
lora_compute_dtype = _dtype
intermediate_dtype = _float32
is_ascend_npu = is_mlu = is_ixuca = is_device_npu = is_device_mlu = _no
pytorch_attention_enabled_vae = _no
directml_enabled = False
xformers_enabled = pytorch_attention_enabled = is_directml_enabled = _no
load_models_gpu = load_model_gpu = free_memory = cleanup_models = unload_all_models = _nothing
interrupt_current_processing = _nothing
supports_fp8_compute = extended_fp16_support = device_supports_non_blocking = _no
device_should_use_non_blocking = flash_attention_enabled = sage_attention_enabled = _no
xformers_enabled_vae = pytorch_attention_flash_attention = force_channels_last = _no
force_upcast_attention_dtype = cleanup_models_gc = unload_model_clones = _nothing
text_encoder_initial_device = _cpu


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    """Return no models: the engine loads and unloads them itself."""
    return []


def minimum_inference_memory() -> int:
    """Return 0: the engine makes room itself for what models compute."""
    return 0


def maximum_vram_for_weights(device: Any = None) -> int:
    """Return the bytes that tensors can still take on a device, the default one if None."""
    return free_bytes(_device_or_default(device))


def extra_reserved_memory() -> int:
    """Return 0: the engine keeps room itself."""
    return 0


def is_device_xpu(device: torch.device) -> bool:
    """Return True if a device is a GPU of Intel."""
    return device_maker(torch.device(device)) == "intel"


def dtype_size(dtype: torch.dtype) -> int:
    """Return the bytes of a number."""
    return dtype.itemsize


def is_device_cuda(device: torch.device) -> bool:
    """Return True if a device is one of CUDA or ROCm."""
    return is_cuda(torch.device(device))


def synchronize() -> None:
    """Wait until the device has computed all that it was given."""
    device = default_device()
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()


def should_use_fp16(device: Any = None, *_args: object, **_more: object) -> bool:
    """Return True if networks compute in float16 on a device, the default one if None."""
    return computes_in_half(_device_or_default(device))


def should_use_bf16(device: Any = None, *_args: object, **_more: object) -> bool:
    """Return True if networks compute in bfloat16 on a device, the default one if None."""
    return has_bfloat16(_device_or_default(device))


def is_nvidia() -> bool:
    """Return True if the device that computes is a GPU of NVIDIA."""
    return device_maker(default_device()) == "nvidia"


def is_amd() -> bool:
    """Return True if the device that computes is a GPU of AMD."""
    return device_maker(default_device()) == "amd"


def is_intel_xpu() -> bool:
    """Return True if the device that computes is a GPU of Intel."""
    return device_maker(default_device()) == "intel"


def mps_mode() -> bool:
    """Return True if Apple's GPU computes."""
    return is_device_mps(default_device())


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
    """Return the bytes that tensors can still take; with `torch_free_too` also torch's share."""
    device = _device_or_default(dev)
    free = free_bytes(device)
    return (free, unused_bytes(device)) if torch_free_too else free


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """Return the total bytes of a device."""
    _, total = memory_bytes(_device_or_default(dev))
    return (total, total) if torch_total_too else total


def _device_or_default(device: Any) -> torch.device:
    return default_device() if device is None else torch.device(device)


def module_size(module: nn.Module) -> int:
    """Return the bytes of a network's weights."""
    return sum(value.nbytes for value in module.state_dict().values())


def cast_to_device(
    tensor: Tensor, device: torch.device, dtype: torch.dtype, copy: bool = False
) -> Tensor:
    """Return a tensor on another device, in another dtype."""
    return tensor.to(device=device, dtype=dtype, copy=copy)


def cast_to(
    weight: Tensor,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
    non_blocking: bool = False,
    copy: bool = False,
    stream: object = None,
) -> Tensor:
    """Return a tensor in another dtype, on another device; either stays if None."""
    return weight.to(device=device, dtype=dtype, non_blocking=non_blocking, copy=copy)


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
