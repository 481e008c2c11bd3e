"""Transformers with random weights in the original layouts; see `random_weights`."""

from tests.tiny_models.random_weights import Draw


def mmdit(
    draw: Draw,
    *,
    depth: int = 2,
    text: int = 4096,
    pooled: int = 2048,
    places: int = 64,
    normed: bool = False,
    dual: int = 0,
) -> None:
    """SD3's; as deep as it has heads. The first `dual` blocks attend twice, as in SD3.5 medium."""
    p, width = "model.diffusion_model.", 64 * depth
    draw.conv(f"{p}x_embedder.proj", 16, width, 2)
    draw.put(f"{p}pos_embed", (1, places**2, width), 0.5)
    for name, inputs in (("t_embedder", 256), ("y_embedder", pooled)):
        draw.linear(f"{p}{name}.mlp.0", inputs, width)
        draw.linear(f"{p}{name}.mlp.2", width, width)
    draw.linear(f"{p}context_embedder", text, width)
    for block in range(depth):
        last = block == depth - 1
        key = f"{p}joint_blocks.{block}"
        _mmdit_half(draw, f"{key}.context_block", width, 2 if last else 6, normed=normed)
        twice = block < dual
        _mmdit_half(draw, f"{key}.x_block", width, 9 if twice else 6, normed=normed)
        if twice:
            _attention(draw, f"{key}.x_block.attn2", width, normed=normed)
            draw.linear(f"{key}.x_block.attn2.proj", width, width)
    draw.linear(f"{p}final_layer.linear", width, 64)
    draw.linear(f"{p}final_layer.adaLN_modulation.1", width, 2 * width, gain=0.5)


def _mmdit_half(draw: Draw, key: str, width: int, factors: int, *, normed: bool) -> None:
    """One half of a block: by how many factors it is modulated tells whether it is the last."""
    _attention(draw, f"{key}.attn", width, normed=normed)
    draw.linear(f"{key}.adaLN_modulation.1", width, factors * width, gain=0.5)
    if factors > 2:
        draw.linear(f"{key}.attn.proj", width, width)
        draw.linear(f"{key}.mlp.fc1", width, 4 * width)
        draw.linear(f"{key}.mlp.fc2", 4 * width, width)


def _attention(draw: Draw, key: str, width: int, *, normed: bool) -> None:
    draw.linear(f"{key}.qkv", width, 3 * width)
    if normed:
        draw.scale(f"{key}.ln_q.weight", 64)
        draw.scale(f"{key}.ln_k.weight", 64)


def flux(
    draw: Draw,
    *,
    width: int = 256,
    head: int = 128,
    text: int = 4096,
    pooled: int = 768,
    guidance: bool = True,
    prefix: str = "",
    double: int = 2,
    channels: int = 64,
) -> None:
    """FLUX.1's, with two single blocks; with guidance it is the dev model."""
    p = prefix
    draw.linear(f"{p}img_in", channels, width)
    draw.linear(f"{p}txt_in", text, width)
    embedders = {"time_in": 256, "vector_in": pooled} | ({"guidance_in": 256} if guidance else {})
    for name, inputs in embedders.items():
        draw.linear(f"{p}{name}.in_layer", inputs, width)
        draw.linear(f"{p}{name}.out_layer", width, width)
    for block in range(double):
        for side in ("img", "txt"):
            _flux_half(draw, f"{p}double_blocks.{block}.{side}", width, head)
    for block in range(2):
        key = f"{p}single_blocks.{block}"
        draw.linear(f"{key}.modulation.lin", width, 3 * width, gain=0.5)
        _flux_single(draw, key, width, head)
    draw.linear(f"{p}final_layer.linear", width, 64)
    draw.linear(f"{p}final_layer.adaLN_modulation.1", width, 2 * width, gain=0.5)


def chroma(
    draw: Draw, *, width: int = 64, head: int = 32, text: int = 64, prefix: str = ""
) -> None:
    """Chroma's, with two blocks of each kind, and a narrow network that makes the modulation."""
    p, wide = prefix, 48
    draw.linear(f"{p}img_in", 64, width)
    draw.linear(f"{p}txt_in", text, width)
    draw.linear(f"{p}distilled_guidance_layer.in_proj", 64, wide)
    for layer in range(2):
        key = f"{p}distilled_guidance_layer.layers.{layer}"
        draw.linear(f"{key}.in_layer", wide, wide)
        draw.linear(f"{key}.out_layer", wide, wide)
        draw.scale(f"{p}distilled_guidance_layer.norms.{layer}.scale", wide)
    draw.linear(f"{p}distilled_guidance_layer.out_proj", wide, width, gain=0.5)
    for block in range(2):
        for side in ("img", "txt"):
            _flux_half(draw, f"{p}double_blocks.{block}.{side}", width, head, modulated=False)
        _flux_single(draw, f"{p}single_blocks.{block}", width, head)
    draw.linear(f"{p}final_layer.linear", width, 64)


def longcat_image(draw: Draw, *, text: int = 128, prefix: str = "") -> None:
    """LongCat-Image's: FLUX.1's without a pooled text."""
    flux(draw, width=64, head=32, text=text, guidance=False, prefix=prefix)
    for key in [key for key in draw.tensors if f"{prefix}vector_in" in key]:
        del draw.tensors[key]


def _flux_single(draw: Draw, key: str, width: int, head: int) -> None:
    draw.linear(f"{key}.linear1", width, 7 * width)
    draw.linear(f"{key}.linear2", 5 * width, width)
    draw.scale(f"{key}.norm.query_norm.scale", head)
    draw.scale(f"{key}.norm.key_norm.scale", head)


def _flux_half(draw: Draw, key: str, width: int, head: int, *, modulated: bool = True) -> None:
    if modulated:
        draw.linear(f"{key}_mod.lin", width, 6 * width, gain=0.5)
    draw.linear(f"{key}_attn.qkv", width, 3 * width)
    draw.linear(f"{key}_attn.proj", width, width)
    draw.scale(f"{key}_attn.norm.query_norm.scale", head)
    draw.scale(f"{key}_attn.norm.key_norm.scale", head)
    draw.linear(f"{key}_mlp.0", width, 4 * width)
    draw.linear(f"{key}_mlp.2", 4 * width, width)


def flux2(
    draw: Draw,
    *,
    width: int = 64,
    head: int = 16,
    text: int = 96,
    guidance: bool = False,
    prefix: str = "",
) -> None:
    """FLUX.2's, with two blocks of each kind; with guidance it is the dev model."""
    p = prefix
    sizes = {
        "img_in": (128, width),
        "txt_in": (text, width),
        "time_in.in_layer": (256, width),
        "time_in.out_layer": (width, width),
        "final_layer.linear": (width, 128),
    }
    if guidance:
        sizes |= {"guidance_in.in_layer": (256, width), "guidance_in.out_layer": (width, width)}
    for number in range(2):
        double, single = f"double_blocks.{number}", f"single_blocks.{number}"
        for side in (f"{double}.img", f"{double}.txt"):
            sizes |= {f"{side}_attn.qkv": (width, 3 * width), f"{side}_attn.proj": (width, width)}
            sizes |= {f"{side}_mlp.0": (width, 6 * width), f"{side}_mlp.2": (3 * width, width)}
        sizes |= {f"{single}.linear1": (width, 9 * width), f"{single}.linear2": (4 * width, width)}
        for norm in (f"{double}.img_attn", f"{double}.txt_attn", single):
            draw.scale(f"{p}{norm}.norm.query_norm.scale", head)
            draw.scale(f"{p}{norm}.norm.key_norm.scale", head)
    for name, (inputs, outputs) in sizes.items():
        draw.linear(f"{p}{name}", inputs, outputs, bias=False)
    for name, parts in (("double_stream", 6), ("single_stream", 3)):
        for side in ("_img", "_txt") if parts > 3 else ("",):
            key = f"{p}{name}_modulation{side}.lin"
            draw.linear(key, width, parts * width, bias=False, gain=0.5)
    draw.linear(f"{p}final_layer.adaLN_modulation.1", width, 2 * width, bias=False, gain=0.5)


def z_image(
    draw: Draw, *, width: int = 64, head: int = 16, text: int = 32, depth: int = 2, prefix: str = ""
) -> None:
    """Z-Image's, with one block each for picture and text alone."""
    p = prefix
    draw.linear(f"{p}x_embedder", 64, width)
    draw.linear(f"{p}t_embedder.mlp.0", 256, 1024)
    draw.linear(f"{p}t_embedder.mlp.2", 1024, min(width, 256))
    draw.scale(f"{p}cap_embedder.0.weight", text)
    draw.linear(f"{p}cap_embedder.1", text, width)
    draw.put(f"{p}x_pad_token", (1, width), 0.5)
    draw.put(f"{p}cap_pad_token", (1, width), 0.5)
    _z_image_block(draw, f"{p}noise_refiner.0", width, head)
    _z_image_block(draw, f"{p}context_refiner.0", width, head, modulated=False)
    for block in range(depth):
        _z_image_block(draw, f"{p}layers.{block}", width, head)
    draw.linear(f"{p}final_layer.adaLN_modulation.1", min(width, 256), width, gain=0.5)
    draw.linear(f"{p}final_layer.linear", width, 64)


def _z_image_block(draw: Draw, key: str, width: int, head: int, *, modulated: bool = True) -> None:
    draw.linear(f"{key}.attention.qkv", width, 3 * width, bias=False)
    draw.linear(f"{key}.attention.out", width, width, bias=False)
    draw.scale(f"{key}.attention.q_norm.weight", head)
    draw.scale(f"{key}.attention.k_norm.weight", head)
    inner = int(width / 3 * 8)
    for name, inputs, outputs in (("w1", width, inner), ("w2", inner, width), ("w3", width, inner)):
        draw.linear(f"{key}.feed_forward.{name}", inputs, outputs, bias=False)
    for name in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
        draw.scale(f"{key}.{name}.weight", width)
    if modulated:
        draw.linear(f"{key}.adaLN_modulation.0", min(width, 256), 4 * width, gain=0.5)


def lumina2(
    draw: Draw,
    *,
    head: int = 12,
    heads: tuple[int, int] = (6, 2),
    text: int = 32,
    depth: int = 2,
    prefix: str = "",
) -> None:
    """Lumina 2's, with one block each for picture and text alone.

    `heads` are those of queries, and of keys and values.
    """
    p, width = prefix, head * heads[0]
    draw.linear(f"{p}x_embedder", 64, width)
    draw.linear(f"{p}t_embedder.mlp.0", 256, min(width, 1024))
    draw.linear(f"{p}t_embedder.mlp.2", min(width, 1024), min(width, 1024))
    draw.scale(f"{p}cap_embedder.0.weight", text)
    draw.linear(f"{p}cap_embedder.1", text, width)
    fused = (heads[0] + 2 * heads[1]) * head
    for block, modulated in (
        ("noise_refiner.0", True),
        ("context_refiner.0", False),
        *((f"layers.{number}", True) for number in range(depth)),
    ):
        _lumina2_block(draw, p + block, (width, fused, head), modulated=modulated)
    draw.linear(f"{p}final_layer.adaLN_modulation.1", min(width, 1024), width, gain=0.5)
    draw.linear(f"{p}final_layer.linear", width, 64)


def _lumina2_block(draw: Draw, key: str, widths: tuple[int, int, int], *, modulated: bool) -> None:
    width, fused, head = widths
    draw.linear(f"{key}.attention.qkv", width, fused, bias=False)
    draw.linear(f"{key}.attention.out", width, width, bias=False)
    draw.scale(f"{key}.attention.q_norm.weight", head)
    draw.scale(f"{key}.attention.k_norm.weight", head)
    inner = 2 * width
    for name, inputs, outputs in (("w1", width, inner), ("w2", inner, width), ("w3", width, inner)):
        draw.linear(f"{key}.feed_forward.{name}", inputs, outputs, bias=False)
    for name in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
        draw.scale(f"{key}.{name}.weight", width)
    if modulated:
        draw.linear(f"{key}.adaLN_modulation.1", min(width, 1024), 4 * width, gain=0.5)


def split_block(draw: Draw, key: str, width: int, head: int) -> None:
    """A block of Z-Image in diffusers' names, whose query, key and value are apart."""
    _z_image_block(draw, key, width, head)
    for name in ("qkv.weight", "out.weight", "q_norm.weight", "k_norm.weight"):
        del draw.tensors[f"{key}.attention.{name}"]
    for name in ("to_q", "to_k", "to_v", "to_out.0"):
        draw.linear(f"{key}.attention.{name}", width, width, bias=False)
    draw.scale(f"{key}.attention.norm_q.weight", head)
    draw.scale(f"{key}.attention.norm_k.weight", head)


def qwen_image(
    draw: Draw,
    *,
    width: int = 64,
    head: int = 16,
    text: int = 128,
    depth: int = 2,
    prefix: str = "",
) -> None:
    """Qwen-Image's, whose names are those of diffusers."""
    p = prefix
    draw.linear(f"{p}img_in", 64, width)
    draw.linear(f"{p}txt_in", text, width)
    draw.scale(f"{p}txt_norm.weight", text)
    draw.linear(f"{p}time_text_embed.timestep_embedder.linear_1", 256, width)
    draw.linear(f"{p}time_text_embed.timestep_embedder.linear_2", width, width)
    for block in range(2):
        key = f"{p}transformer_blocks.{block}"
        for name in ("to_q", "to_k", "to_v", "to_out.0", "to_add_out"):
            draw.linear(f"{key}.attn.{name}", width, width)
        for name in ("add_q_proj", "add_k_proj", "add_v_proj"):
            draw.linear(f"{key}.attn.{name}", width, width)
        for name in ("norm_q", "norm_k", "norm_added_q", "norm_added_k"):
            draw.scale(f"{key}.attn.{name}.weight", head)
        for stream in ("img", "txt"):
            draw.linear(f"{key}.{stream}_mod.1", width, 6 * width, gain=0.5)
            draw.linear(f"{key}.{stream}_mlp.net.0.proj", width, 4 * width)
            draw.linear(f"{key}.{stream}_mlp.net.2", 4 * width, width)
    draw.linear(f"{p}norm_out.linear", width, 2 * width, gain=0.5)
    draw.linear(f"{p}proj_out", width, 64)


def anima(
    draw: Draw, *, width: int = 64, head: int = 16, text: int = 1024, prefix: str = ""
) -> None:
    """Anima's with two blocks, and its conditioner with two, for texts of this width.

    It has what training counted, as NVIDIA's files do.
    """
    p, wide, rank = prefix, 32, 8
    draw.linear(f"{p}x_embedder.proj.1", 4 * 17, width, bias=False)
    draw.linear(f"{p}t_embedder.1.linear_1", width, width, bias=False)
    draw.linear(f"{p}t_embedder.1.linear_2", width, 3 * width, bias=False, gain=0.5)
    draw.scale(f"{p}t_embedding_norm.weight", width)
    for block in range(2):
        key = f"{p}blocks.{block}"
        for part in ("self_attn", "cross_attn", "mlp"):
            draw.linear(f"{key}.adaln_modulation_{part}.1", width, rank, bias=False)
            draw.linear(f"{key}.adaln_modulation_{part}.2", rank, 3 * width, bias=False)
        for part, inputs in (("self_attn", width), ("cross_attn", wide)):
            _cosmos_attention(draw, f"{key}.{part}", (width, inputs), head, "output_proj")
        draw.linear(f"{key}.mlp.layer1", width, 4 * width, bias=False)
        draw.linear(f"{key}.mlp.layer2", 4 * width, width, bias=False)
    draw.linear(f"{p}final_layer.adaln_modulation.1", width, rank, bias=False)
    draw.linear(f"{p}final_layer.adaln_modulation.2", rank, 2 * width, bias=False)
    draw.linear(f"{p}final_layer.linear", width, 64, bias=False)
    draw.put(f"{p}accum_iteration", (1,), 1.0)
    _anima_conditioner(draw, f"{p}llm_adapter", text, wide, head)


def _anima_conditioner(draw: Draw, key: str, text: int, width: int, head: int) -> None:
    draw.put(f"{key}.embed.weight", (32_128, width), 1.0)
    for block in range(2):
        own = f"{key}.blocks.{block}"
        for part, inputs in (("self_attn", width), ("cross_attn", text)):
            draw.scale(f"{own}.norm_{part}.weight", width)
            _cosmos_attention(draw, f"{own}.{part}", (width, inputs), head, "o_proj")
        draw.scale(f"{own}.norm_mlp.weight", width)
        draw.linear(f"{own}.mlp.0", width, 4 * width)
        draw.linear(f"{own}.mlp.2", 4 * width, width)
    draw.linear(f"{key}.out_proj", width, width)
    draw.scale(f"{key}.norm.weight", width)


def _cosmos_attention(
    draw: Draw, key: str, widths: tuple[int, int], head: int, output: str
) -> None:
    """An attention from tokens of the first width to others of the second."""
    width, inputs = widths
    draw.linear(f"{key}.q_proj", width, width, bias=False)
    draw.linear(f"{key}.k_proj", inputs, width, bias=False)
    draw.linear(f"{key}.v_proj", inputs, width, bias=False)
    draw.linear(f"{key}.{output}", width, width, bias=False)
    draw.scale(f"{key}.q_norm.weight", head)
    draw.scale(f"{key}.k_norm.weight", head)


def qwen_image21(
    draw: Draw,
    *,
    width: int = 64,
    head: int = 32,
    text: int = 128,
    channels: int = 64,
    prefix: str = "",
) -> None:
    """Qwen-Image 2.1's, whose names are those of diffusers but for the fused layer."""
    p = prefix
    draw.linear(f"{p}img_in", channels, width, bias=False)
    draw.put(f"{p}txt_in.text_norm.weight", (text,), 0.1)
    draw.linear(f"{p}txt_in.in_layer", text, width, bias=False)
    draw.linear(f"{p}txt_in.out_layer", width, width, bias=False)
    draw.linear(f"{p}time_text_embed.timestep_embedder.linear_1", 256, width, bias=False)
    draw.linear(f"{p}time_text_embed.timestep_embedder.linear_2", width, width, bias=False)
    draw.linear(f"{p}modulation.1", width, 4 * width, bias=False)
    for block in range(2):
        key = f"{p}transformer_blocks.{block}"
        for name in ("to_q", "to_k", "to_v", "to_out.0"):
            draw.linear(f"{key}.attn.{name}", width, width, bias=False)
        for name in ("norm_q", "norm_k"):
            draw.scale(f"{key}.attn.{name}.weight", head)
        draw.linear(f"{key}.img_mlp.gate_up", width, 6 * width, bias=False)
        draw.linear(f"{key}.img_mlp.out", 3 * width, width, bias=False)
    draw.linear(f"{p}norm_out.linear", width, width, bias=False)
    draw.linear(f"{p}proj_out", width, channels, bias=False)


def flux3(
    draw: Draw,
    *,
    width: int = 64,
    head: int = 16,
    text: int = 256,
    jumps: bool = False,
    prefix: str = "",
) -> None:
    """FLUX.3's, with two blocks of each kind; with `jumps` it is the distilled model."""
    p = prefix
    modes = ("image", "image_cond", "txt")
    for mode in modes[:2]:
        draw.linear(f"{p}emb_in.{mode}", 128, width, bias=False)
    draw.linear(f"{p}txt_in", text, width, bias=False)
    for name in ("time_in", "ref_time_in") if jumps else ("time_in",):
        draw.linear(f"{p}{name}.in_layer", 256, width, bias=False)
        draw.linear(f"{p}{name}.out_layer", width, width, bias=False)
    for mode in modes:
        for stage in ("early", "single"):
            key = f"{p}{stage}_stream_modulations.{mode}.lin"
            draw.linear(key, width, 3 * width, bias=False, gain=2.0)
    stacks = ("txt_mode_blocks", "single_blocks", *(f"content_mode_blocks.{m}" for m in modes[:2]))
    for stack in stacks:
        for block in range(2):
            _flux3_block(draw, f"{p}{stack}.{block}", width, head)
    draw.linear(f"{p}final_layer.image.linear", width, 128, bias=False)
    key = f"{p}final_layer.image.adaLN_modulation.1"
    draw.linear(key, width, 2 * width, bias=False, gain=0.5)


def _flux3_block(draw: Draw, key: str, width: int, head: int) -> None:
    for name in ("q_proj", "k_proj", "v_proj", "attn_out"):
        draw.linear(f"{key}.{name}", width, width, bias=False)
    draw.scale(f"{key}.norm.query_norm.scale", head)
    draw.scale(f"{key}.norm.key_norm.scale", head)
    draw.linear(f"{key}.mlp_in", width, 6 * width, bias=False)
    draw.linear(f"{key}.mlp_out", 3 * width, width, bias=False)


def krea2(
    draw: Draw,
    *,
    width: int = 64,
    head: int = 16,
    text: int = 32,
    text_head: int = 16,
    refiners: int = 1,
    inner: int = 48,
    prefix: str = "",
) -> None:
    """Krea 2's for texts of twelve layers; half of its heads are of keys and values."""
    p = prefix
    draw.linear(f"{p}first", 64, width)
    draw.linear(f"{p}tmlp.0", 256, width)
    draw.linear(f"{p}tmlp.2", width, width)
    draw.linear(f"{p}tproj.1", width, 6 * width, gain=0.5)
    for name in ("layerwise_blocks.0", *[f"refiner_blocks.{n}" for n in range(refiners)]):
        _krea2_block(draw, f"{p}txtfusion.{name}", text, text_head, 1, inner)
    draw.linear(f"{p}txtfusion.projector", 12, 1, bias=False)
    draw.put(f"{p}txtmlp.0.scale", (text,), 0.1)
    draw.linear(f"{p}txtmlp.1", text, width)
    draw.linear(f"{p}txtmlp.3", width, width)
    for block in range(2):
        _krea2_block(draw, f"{p}blocks.{block}", width, head, width // head // 2, inner)
        draw.put(f"{p}blocks.{block}.mod.lin", (6 * width,), 0.3)
    draw.put(f"{p}last.norm.scale", (width,), 0.1)
    draw.put(f"{p}last.modulation.lin", (2, width), 0.3)
    draw.linear(f"{p}last.linear", width, 64)


def _krea2_block(draw: Draw, key: str, width: int, head: int, keys: int, inner: int) -> None:
    for name, outputs in (("wq", width), ("wk", keys * head), ("wv", keys * head)):
        draw.linear(f"{key}.attn.{name}", width, outputs, bias=False)
    for name in ("gate", "wo"):
        draw.linear(f"{key}.attn.{name}", width, width, bias=False)
    for name in ("attn.qknorm.qnorm.scale", "attn.qknorm.knorm.scale"):
        draw.put(f"{key}.{name}", (head,), 0.1)
    for name in ("prenorm.scale", "postnorm.scale"):
        draw.put(f"{key}.{name}", (width,), 0.1)
    draw.linear(f"{key}.mlp.gate", width, inner, bias=False)
    draw.linear(f"{key}.mlp.up", width, inner, bias=False)
    draw.linear(f"{key}.mlp.down", inner, width, bias=False)
