"""The method names of ComfyUI's node classes, for packs that call them."""

from collections.abc import Mapping

_SAMPLE = ("model", "seed", "steps", "cfg", "sampler_name", "scheduler")
_SAMPLE_PART = ("model", "add_noise", "noise_seed", "steps", "cfg", "sampler_name", "scheduler")
_SIDES = ("positive", "negative", "latent_image")
_RESIZE = ("upscale_method", "width", "height", "crop")
_PART = ("start_at_step", "end_at_step", "return_with_leftover_noise")
_PLACE = ("x", "y", "resize_source", "mask")
_STRENGTHS = ("strength_model", "strength_clip")
_TILES = ("tile_size", "overlap", "temporal_size", "temporal_overlap")
_SPAN = ("start_percent", "end_percent", "vae")
_SIDED = ("positive", "negative", "control_net", "image", "strength", *_SPAN)

METHODS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CheckpointLoaderSimple": ("load_checkpoint", ("ckpt_name",)),
    "CLIPLoader": ("load_clip", ("clip_name", "type", "device")),
    "CLIPSetLastLayer": ("set_last_layer", ("clip", "stop_at_clip_layer")),
    "CLIPTextEncode": ("encode", ("clip", "text")),
    "CLIPVisionEncode": ("encode", ("clip_vision", "image", "crop")),
    "CLIPVisionLoader": ("load_clip", ("clip_name",)),
    "ConditioningAverage": (
        "addWeighted",
        ("conditioning_to", "conditioning_from", "conditioning_to_strength"),
    ),
    "ConditioningCombine": ("combine", ("conditioning_1", "conditioning_2")),
    "ConditioningConcat": ("concat", ("conditioning_to", "conditioning_from")),
    "ConditioningSetArea": (
        "append",
        ("conditioning", "width", "height", "x", "y", "strength"),
    ),
    "ConditioningSetMask": ("append", ("conditioning", "mask", "set_cond_area", "strength")),
    "ConditioningSetTimestepRange": ("set_range", ("conditioning", "start", "end")),
    "ConditioningZeroOut": ("zero_out", ("conditioning",)),
    "ControlNetApply": (
        "apply_controlnet",
        ("conditioning", "control_net", "image", "strength"),
    ),
    "ControlNetApplyAdvanced": ("apply_controlnet", _SIDED),
    "ControlNetLoader": ("load_controlnet", ("control_net_name",)),
    "DualCLIPLoader": ("load_clip", ("clip_name1", "clip_name2", "type", "device")),
    "BasicGuider": ("get_guider", ("model", "conditioning")),
    "BasicScheduler": ("get_sigmas", ("model", "scheduler", "steps", "denoise")),
    "CFGGuider": ("get_guider", ("model", "positive", "negative", "cfg")),
    "CropMask": ("crop", ("mask", "x", "y", "width", "height")),
    "DifferentialDiffusion": ("apply", ("model", "strength")),
    "DisableNoise": ("get_noise", ()),
    "EmptyImage": ("generate", ("width", "height", "batch_size", "color")),
    "EmptyLatentImage": ("generate", ("width", "height", "batch_size")),
    "FeatherMask": ("feather", ("mask", "left", "top", "right", "bottom")),
    "FluxGuidance": ("append", ("conditioning", "guidance")),
    "GrowMask": ("expand_mask", ("mask", "expand", "tapered_corners")),
    "ImageBatch": ("batch", ("image1", "image2")),
    "ImageColorToMask": ("image_to_mask", ("image", "color")),
    "ImageCompositeMasked": ("composite", ("destination", "source", *_PLACE)),
    "ImageInvert": ("invert", ("image",)),
    "ImagePadForOutpaint": (
        "expand_image",
        ("image", "left", "top", "right", "bottom", "feathering"),
    ),
    "ImageScale": ("upscale", ("image", *_RESIZE)),
    "ImageScaleBy": ("upscale", ("image", "upscale_method", "scale_by")),
    "ImageUpscaleWithModel": ("upscale", ("upscale_model", "image")),
    "ImageToMask": ("image_to_mask", ("image", "channel")),
    "InpaintModelConditioning": (
        "encode",
        ("positive", "negative", "pixels", "vae", "mask", "noise_mask"),
    ),
    "InvertMask": ("invert", ("mask",)),
    "JoinImageWithAlpha": ("join_image_with_alpha", ("image", "alpha")),
    "KSamplerSelect": ("get_sampler", ("sampler_name",)),
    "KSampler": ("sample", (*_SAMPLE, *_SIDES, "denoise")),
    "KSamplerAdvanced": ("sample", (*_SAMPLE_PART, *_SIDES, *_PART)),
    "LatentCompositeMasked": ("composite", ("destination", "source", *_PLACE)),
    "LatentUpscale": ("upscale", ("samples", *_RESIZE)),
    "LatentUpscaleBy": ("upscale", ("samples", "upscale_method", "scale_by")),
    "LoadImage": ("load_image", ("image",)),
    "LoadImageMask": ("load_image", ("image", "channel")),
    "LoraLoader": ("load_lora", ("model", "clip", "lora_name", *_STRENGTHS)),
    "LoraLoaderModelOnly": ("load_lora_model_only", ("model", "lora_name", "strength_model")),
    "MaskComposite": ("combine", ("destination", "source", "x", "y", "operation")),
    "MaskToImage": ("mask_to_image", ("mask",)),
    "RandomNoise": ("get_noise", ("noise_seed",)),
    "RepeatLatentBatch": ("repeat", ("samples", "amount")),
    "SamplerCustomAdvanced": (
        "sample",
        ("noise", "guider", "sampler", "sigmas", "latent_image"),
    ),
    "SetLatentNoiseMask": ("set_mask", ("samples", "mask")),
    "SolidMask": ("solid", ("value", "width", "height")),
    "SplitImageWithAlpha": ("split_image_with_alpha", ("image",)),
    "SplitSigmas": ("get_sigmas", ("sigmas", "step")),
    "UNETLoader": ("load_unet", ("unet_name", "weight_dtype")),
    "UpscaleModelLoader": ("load_model", ("model_name",)),
    "VAEDecode": ("decode", ("vae", "samples")),
    "VAEDecodeTiled": ("decode", ("vae", "samples", *_TILES)),
    "VAEEncode": ("encode", ("vae", "pixels")),
    "VAEEncodeForInpaint": ("encode", ("vae", "pixels", "mask", "grow_mask_by")),
    "VAEEncodeTiled": ("encode", ("vae", "pixels", *_TILES)),
    "VAELoader": ("load_vae", ("vae_name",)),
}
"""The method's name and its parameters in their order."""
