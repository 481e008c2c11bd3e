"""`comfy.ldm.modules.attention`: attention for networks that packs build themselves."""

from nodes.comfy.values.patches.attend import optimized_attention as optimized_attention
from nodes.comfy.values.patches.attend import (
    optimized_attention_for_device as optimized_attention_for_device,
)

optimized_attention_masked = attention_pytorch = attention_basic = optimized_attention
