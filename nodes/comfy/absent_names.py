"""Names that ComfyUI's modules have and nothing here stands in for, as public packs import them."""

_LDM = """
ace.model anima.model audio.dit aura.mmdit cascade.stage_a cascade.stage_b cascade.stage_c
cascade.stage_c_coder chroma.layers chroma.model common_dit cosmos.model cosmos.predict2
flux.controlnet flux.layers flux.math flux.model flux.redux genmo.joint_model.asymm_models_joint
hidream.model hunyuan3d.model hunyuan_video.model hydit.models lightricks.model
lightricks.symmetric_patchifier lightricks.vae.causal_conv3d
lightricks.vae.causal_video_autoencoder lightricks.vae.pixel_norm lumina.model
models.autoencoder modules.attention modules.diffusionmodules.mmdit
modules.diffusionmodules.model modules.diffusionmodules.openaimodel
modules.diffusionmodules.upscaling modules.diffusionmodules.util
modules.distributions.distributions modules.ema modules.encoders.noise_aug_modules
modules.sub_quadratic_attention modules.temporal_ae omnigen.omnigen2 pixart.blocks
pixart.pixartms qwen_image.model qwen_image.controlnet util wan.model wan.vae wan.vae2_2
"""
_MODULES = """
comfy.cldm.cldm comfy.cldm.control_types comfy.cldm.dit_embedder comfy.cldm.mmdit
comfy.checkpoint_pickle comfy.clip_model comfy.conds comfy.context_windows
comfy.diffusers_convert comfy.diffusers_load comfy.extra_samplers.uni_pc
comfy.float comfy.gligen comfy.hooks comfy.image_encoders.dino2 comfy.k_diffusion.deis
comfy.k_diffusion.sa_solver comfy.k_diffusion.utils comfy.lora
comfy.lora_convert comfy.model_base comfy.model_detection comfy.model_sampling comfy.nested_tensor
comfy.ops comfy.patcher_extension comfy.pixel_space_convert comfy.rmsnorm
comfy.sd1_clip comfy.sdxl_clip comfy.supported_models
comfy.supported_models_base comfy.t2i_adapter.adapter comfy.taesd.taesd
comfy.text_encoders.bert comfy.text_encoders.cosmos comfy.text_encoders.flux
comfy.text_encoders.hunyuan_video comfy.text_encoders.hydit comfy.text_encoders.llama
comfy.text_encoders.long_clipl comfy.text_encoders.lt comfy.text_encoders.lumina2
comfy.text_encoders.qwen_image comfy.text_encoders.sa_t5 comfy.text_encoders.sd2_clip
comfy.text_encoders.sd3_clip comfy.text_encoders.spiece_tokenizer comfy.text_encoders.t5
comfy.text_encoders.wan comfy.weight_adapter comfy.weight_adapter.base
comfy_api.feature_flags comfy_api.torch_helpers comfy_config.config_parser
comfy_config.types comfy_execution.caching comfy_execution.progress
comfy_execution.validation
app.app_settings app.custom_node_manager app.frontend_management app.logger
app.model_manager app.user_manager
"""
_NEWER = """
comfy.ldm.lightricks.av_model comfy.ldm.lightricks.vae.audio_vae comfy.nested_tensor
"""
"""Modules of versions after 0.3.64, which packs import without a way to go on without them."""


def _with_parents(names: list[str]) -> frozenset[str]:
    """Return the modules, and the packages that they are in."""
    parts = [name.split(".") for name in names]
    return frozenset(".".join(each[: k + 1]) for each in parts for k in range(len(each)))


MODULES = _with_parents(
    [*_MODULES.split(), *_NEWER.split(), *(f"comfy.ldm.{name}" for name in _LDM.split())]
)
"""The modules without a stand-in, or with one for a few of their names."""

NAMES = {
    "comfy.cli_args": "PerformanceFeature parser",
    "comfy.clip_vision": """
        ClipVisionModel Output clip_preprocess convert_to_transformers load_clipvision_from_sd
        siglip_preprocess""",
    "comfy.controlnet": """
        ControlBase ControlLora ControlLoraOps ControlNet ControlNetSD35 QwenFunControlNet
        StrengthType T2IAdapter broadcast_image_to controlnet_config controlnet_load_state_dict
        load_controlnet_flux_instantx load_controlnet_state_dict load_t2i_adapter""",
    "comfy.latent_formats": """
        ACEAudio Chroma Cosmos1CV8x8x16 Flux HunyuanVideo Hunyuan3Dv2 LTXV Mochi SC_B SC_Prior SD15
        SD3 SDXL SDXL_Playground_2_5 SD_X4 StableAudio1 Wan21 Wan22""",
    "comfy.model_management": """
        LoadedModel cast_to_gathered offloaded_memory pick_weight_dtype raise_non_oom
        resolve_lowvram_weight supports_cast supports_dtype total_vram unet_dtype_orig
        unet_initial_load_device use_more_memory""",
    "comfy.model_patcher": """
        AutoPatcherEjector LowVramPatch MemoryCounter PatcherInjection get_key_weight
        wipe_lowvram_weight""",
    "comfy.k_diffusion.sampling": """
        DPMSolver PIDStepSizeController default_er_sde_noise_scaler half_log_snr_to_sigma
        linear_multistep_coeff offset_first_sigma_for_snr sigma_to_half_log_snr""",
    "comfy.model_sampling": """
        CONST COSMOS_RFLOW EDM EPS IMG_TO_IMG ModelSamplingContinuousEDM ModelSamplingContinuousV
        ModelSamplingCosmosRFlow ModelSamplingDiscrete ModelSamplingDiscreteEDM
        ModelSamplingDiscreteFlow ModelSamplingFlux StableCascadeSampling V_PREDICTION X0
        flux_time_shift rescale_zero_terminal_snr_sigmas time_snr_shift""",
    "comfy.sample": """
        cleanup_additional_models convert_cond get_additional_models get_models_from_cond
        prepare_mask prepare_sampling""",
    "comfy.samplers": """
        CFGNoisePredictor apply_empty_x_to_equal_area calculate_start_end_timesteps
        can_concat_cond cast_to_load_options cast_transformer_options ccv cond_cat
        cond_equal_size create_cond_with_same_area_if_none encode_model_conds
        finalize_default_conds get_area_and_mult get_mask_aabb max_denoise
        pre_run_control preprocess_conds_hooks
        process_conds resolve_areas_and_cond_masks resolve_areas_and_cond_masks_multidim
        wrap_model""",
    "comfy.sd": """
        StyleModel TEModel detect_te_model load_controlnet
        load_diffusion_model_state_dict load_gligen load_state_dict_guess_config
        load_text_encoder_state_dicts load_unet_state_dict save_checkpoint t5xxl_detect""",
    "comfy.utils": """
        TRANSFORMER_BLOCKS UNET_MAP_ATTENTIONS UNET_MAP_BASIC UNET_MAP_RESNET
        clip_text_transformers_convert convert_sd_to copy_to_param flux_to_diffusers
        mmdit_to_diffusers model_trange safetensors_header set_attr_param
        set_progress_bar_enabled set_progress_bar_global_hook
        tiled_scale_multidim transformers_convert unet_to_diffusers upscale_dit_mask weight_dtype
        z_image_to_diffusers""",
    "comfy_execution.graph": "ExecutionList NodeInputError NodeNotFoundError TopologicalSort",
    "execution": """
        CacheSet CacheType ExecutionResult IsChangedCache PromptExecutor PromptQueue execute
        get_input_data map_node_over_list full_type_name validate_inputs validate_prompt""",
    "latent_preview": "TAESD TAESDPreviewerImpl",
    "nodes": """
        get_module_name init_builtin_extra_nodes init_custom_nodes init_external_custom_nodes
        init_extra_nodes load_custom_node""",
    "server": "web create_cors_middleware get_comfyui_version",
}
"""The names that the stand-in of a module lacks."""
