"""Vision encoders with random weights in the original layouts; see `random_weights`."""

from tests.tiny_models.random_weights import Draw


def vision(
    draw: Draw, width: int = 128, layers: int = 3, *, patch: int = 4, side: int = 4, to: int = 64
) -> None:
    """CLIP's in transformers' layout: `side` patches each way, projected to `to`, if not 0."""
    p = "vision_model."
    draw.put(f"{p}embeddings.class_embedding", (width,), 0.5)
    draw.weight(f"{p}embeddings.patch_embedding.weight", width, 3, patch, patch)
    draw.put(f"{p}embeddings.position_embedding.weight", (side**2 + 1, width), 0.2)
    draw.norm(f"{p}pre_layrnorm", width)
    _layers(draw, p, width, layers)
    draw.norm(f"{p}post_layernorm", width)
    if to:
        draw.linear("visual_projection", width, to, bias=False)


def open_vision(
    draw: Draw,
    width: int = 128,
    layers: int = 3,
    *,
    patch: int = 4,
    side: int = 4,
    to: int = 64,
    prefix: str = "visual.",
) -> None:
    """The same in OpenCLIP's layout."""
    draw.put(f"{prefix}class_embedding", (width,), 0.5)
    draw.weight(f"{prefix}conv1.weight", width, 3, patch, patch)
    draw.put(f"{prefix}positional_embedding", (side**2 + 1, width), 0.2)
    for norm in ("ln_pre", "ln_post"):
        draw.norm(f"{prefix}{norm}", width)
    for layer in range(layers):
        key = f"{prefix}transformer.resblocks.{layer}"
        draw.norm(f"{key}.ln_1", width)
        draw.norm(f"{key}.ln_2", width)
        draw.weight(f"{key}.attn.in_proj_weight", 3 * width, width)
        draw.put(f"{key}.attn.in_proj_bias", (3 * width,), 0.05)
        draw.linear(f"{key}.attn.out_proj", width, width)
        draw.linear(f"{key}.mlp.c_fc", width, 2 * width)
        draw.linear(f"{key}.mlp.c_proj", 2 * width, width)
    draw.weight(f"{prefix}proj", width, to)


def siglip(
    draw: Draw,
    width: int = 128,
    layers: int = 3,
    *,
    patch: int = 4,
    side: int = 4,
    head: bool = True,
) -> None:
    """SigLIP's in transformers' layout."""
    p = "vision_model."
    draw.conv(f"{p}embeddings.patch_embedding", 3, width, patch)
    draw.put(f"{p}embeddings.position_embedding.weight", (side**2, width), 0.2)
    _layers(draw, p, width, layers)
    draw.norm(f"{p}post_layernorm", width)
    if not head:
        return
    draw.put(f"{p}head.probe", (1, 1, width), 0.5)
    draw.weight(f"{p}head.attention.in_proj_weight", 3 * width, width)
    draw.put(f"{p}head.attention.in_proj_bias", (3 * width,), 0.05)
    draw.linear(f"{p}head.attention.out_proj", width, width)
    draw.norm(f"{p}head.layernorm", width)
    draw.linear(f"{p}head.mlp.fc1", width, 2 * width)
    draw.linear(f"{p}head.mlp.fc2", 2 * width, width)


def _layers(draw: Draw, prefix: str, width: int, layers: int) -> None:
    for layer in range(layers):
        key = f"{prefix}encoder.layers.{layer}"
        draw.norm(f"{key}.layer_norm1", width)
        draw.norm(f"{key}.layer_norm2", width)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            draw.linear(f"{key}.self_attn.{name}", width, width)
        draw.linear(f"{key}.mlp.fc1", width, 2 * width)
        draw.linear(f"{key}.mlp.fc2", 2 * width, width)


def redux(draw: Draw, seen: int = 48, text: int = 64) -> None:
    """FLUX.1 Redux."""
    draw.linear("redux_up", seen, 3 * text)
    draw.linear("redux_down", 3 * text, text)


def projector(
    draw: Draw, patches: int = 9, tokens: int = 2, seen: int = 48, width: int = 64
) -> None:
    """USO's."""
    for level in ("high", "mid", "low"):
        key = f"feature_embedder.{level}"
        draw.linear(f"{key}_embedding_linear.0", patches, tokens)
        draw.norm(f"{key}_layer_norm", seen)
        draw.linear(f"{key}_projection", seen, width)


def ip_adapter(draw: Draw, kind: str, seen: int, text: int, widths: list[int]) -> None:
    """An IP-Adapter as its authors have it: `plain`, `plus` or `full`."""
    {"plain": _plain, "plus": _resampler, "full": _full}[kind](draw, seen, text)
    for layer, width in enumerate(widths):
        for part in ("to_k_ip", "to_v_ip"):
            draw.linear(f"ip_adapter.{2 * layer + 1}.{part}", text, width, bias=False)


def _plain(draw: Draw, seen: int, text: int) -> None:
    draw.linear("image_proj.proj", seen, 4 * text)
    draw.norm("image_proj.norm", text)


def _full(draw: Draw, seen: int, text: int) -> None:
    draw.linear("image_proj.proj.0", seen, seen)
    draw.linear("image_proj.proj.2", seen, text)
    draw.norm("image_proj.proj.3", text)


def _resampler(draw: Draw, seen: int, text: int) -> None:
    width, inner = 32, 128
    draw.put("image_proj.latents", (1, 5, width), 0.5)
    draw.linear("image_proj.proj_in", seen, width)
    draw.linear("image_proj.proj_out", width, text)
    draw.norm("image_proj.norm_out", text)
    for layer in range(4):
        key = f"image_proj.layers.{layer}"
        for norm in ("0.norm1", "0.norm2", "1.0"):
            draw.norm(f"{key}.{norm}", width)
        draw.linear(f"{key}.0.to_q", width, inner, bias=False)
        draw.linear(f"{key}.0.to_kv", width, 2 * inner, bias=False)
        draw.linear(f"{key}.0.to_out", inner, width, bias=False)
        draw.linear(f"{key}.1.1", width, 4 * width, bias=False)
        draw.linear(f"{key}.1.3", 4 * width, width, bias=False)


def photomaker(draw: Draw, first: int = 64, second: int = 64) -> None:
    """PhotoMaker as its authors have it, for text encoders of these widths."""
    p, own, width = "id_encoder.", Draw(draw.seed), first + second
    vision(own, to=first)
    draw.tensors |= {f"{p}{key}": value for key, value in own.tensors.items()}
    draw.linear(f"{p}visual_projection_2", 128, second, bias=False)
    for name, inputs in (("mlp1", 2 * width), ("mlp2", width)):
        key = f"{p}fuse_module.{name}"
        draw.norm(f"{key}.layernorm", inputs)
        draw.linear(f"{key}.fc1", inputs, width)
        draw.linear(f"{key}.fc2", width, width)
    draw.norm(f"{p}fuse_module.layer_norm", width)
