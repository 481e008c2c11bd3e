"""What node methods take and give; made by `nodegraph stubs`, not to be edited."""

from typing import Any, Literal

from nodegraph.building.outputs import Out, Placed

class BOOLEAN: ...
class CLIP: ...
class CLIP_VISION: ...
class CLIP_VISION_OUTPUT: ...
class CONDITIONING: ...
class CONTROL_NET: ...
class FLOAT: ...
class GLIGEN: ...
class GUIDER: ...
class IMAGE: ...
class INT: ...
class IPADAPTER: ...
class LATENT: ...
class LATENT_OPERATION: ...
class MASK: ...
class MODEL: ...
class MODEL_PATCH: ...
class NOISE: ...
class PHOTOMAKER: ...
class SAMPLER: ...
class SIGMAS: ...
class STRING: ...
class STYLE_MODEL: ...
class UPSCALE_MODEL: ...
class VAE: ...

class NodeMethods:
    def APG(
        self,
        *,
        model: Out[MODEL],
        eta: float | Out[FLOAT] = ...,
        norm_threshold: float | Out[FLOAT] = ...,
        momentum: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Leave out the part of the guidance that only saturates colours, so that it can be highe…"""

    def AddNoise(
        self,
        *,
        model: Out[MODEL],
        noise: Out[NOISE],
        sigmas: Out[SIGMAS],
        latent_image: Out[LATENT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Add as much noise to a latent as sampling these levels would remove."""

    def AlignYourStepsScheduler(
        self,
        *,
        model_type: Literal['SD1', 'SDXL', 'SVD'] | Out[Any],
        steps: int | Out[INT] = ...,
        denoise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Levels that were optimised for a family, at ten steps; others lie between these."""

    def BasicGuider(
        self,
        *,
        model: Out[MODEL],
        conditioning: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[GUIDER]:
        """Follow one prompt as it is, without guidance: for models that need none, such as FLUX."""

    def BasicScheduler(
        self,
        *,
        model: Out[MODEL],
        scheduler: Literal['simple', 'sgm_uniform', 'karras', 'exponential', 'ddim_uniform', 'beta', 'normal', 'linear_quadratic', 'kl_optimal'] | Out[Any],
        steps: int | Out[INT] = ...,
        denoise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """The noise levels of a named schedule, as KSampler takes them."""

    def BatchPrompt(
        self,
        *,
        model: Out[MODEL],
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        cfg: float | Out[FLOAT] = ...,
        seed: int | Out[INT] = ...,
        guider: Out[GUIDER] = ...,
        noise: Out[NOISE] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[GUIDER], Out[NOISE], Out[INT]]:
        """Add an image with its own prompts, guidance and seed to a batch for SamplerCustomAdvanc…"""

    def BetaSamplingScheduler(
        self,
        *,
        model: Out[MODEL],
        steps: int | Out[INT] = ...,
        alpha: float | Out[FLOAT] = ...,
        beta: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """The model's levels at the quantiles of a beta distribution: below 1, most at both ends."""

    def CFGGuider(
        self,
        *,
        model: Out[MODEL],
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        cfg: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[GUIDER]:
        """Go beyond the negative prompt, `cfg` times as far as the positive one is."""

    def CFGZeroStar(
        self,
        *,
        model: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Scale the negative prediction to fit the positive one best, for flow models."""

    def CLIPAttentionMultiply(
        self,
        *,
        clip: Out[CLIP],
        q: float | Out[FLOAT] = ...,
        k: float | Out[FLOAT] = ...,
        v: float | Out[FLOAT] = ...,
        out: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Multiply the weights of the attentions of CLIP's text encoders; T5 stays as it is."""

    def CLIPLoader(
        self,
        *,
        clip_name: str | Out[Any],
        type: Literal['stable_diffusion', 'stable_cascade', 'sd3', 'stable_audio', 'mochi', 'ltxv', 'pixart', 'cosmos', 'lumina2', 'wan', 'hidream', 'chroma', 'ace', 'omnigen2', 'qwen_image', 'hunyuan_image'] | Out[Any],
        device: Literal['default', 'cpu'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Open a text encoder for Stable Diffusion 1 (CLIP-L), 2 (CLIP-H), SDXL's refiner or SD3."""

    def CLIPMergeAdd(
        self,
        *,
        clip1: Out[CLIP],
        clip2: Out[CLIP],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Add text encoders' weights to others': what `CLIPMergeSubtract` made, as a rule."""

    def CLIPMergeSimple(
        self,
        *,
        clip1: Out[CLIP],
        clip2: Out[CLIP],
        ratio: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Mix two models' text encoders: `ratio` of the first, the rest of the second."""

    def CLIPMergeSubtract(
        self,
        *,
        clip1: Out[CLIP],
        clip2: Out[CLIP],
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """What distinguishes the first text encoders from the second, times `multiplier`."""

    def CLIPSave(
        self,
        *,
        clip: Out[CLIP],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write each text encoder into a file of the output folder; see `CheckpointSave`."""

    def CLIPSetLastLayer(
        self,
        *,
        clip: Out[CLIP],
        stop_at_clip_layer: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Read an earlier layer of the text encoder: -1 is the last; -2 is "clip skip 2"."""

    def CLIPTextEncode(
        self,
        *,
        text: str | Out[STRING],
        clip: Out[CLIP],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Encode a prompt, so that it can guide the model towards what it describes."""

    def CLIPTextEncodeControlnet(
        self,
        *,
        clip: Out[CLIP],
        conditioning: Out[CONDITIONING],
        text: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Give the ControlNets of a conditioning a prompt of their own; the model keeps its own."""

    def CLIPTextEncodeFlux(
        self,
        *,
        clip: Out[CLIP],
        clip_l: str | Out[STRING],
        t5xxl: str | Out[STRING],
        guidance: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Encode a prompt for FLUX.1: CLIP-L's text as a whole, T5's in detail; and the guidance."""

    def CLIPTextEncodeSD3(
        self,
        *,
        clip: Out[CLIP],
        clip_l: str | Out[STRING],
        clip_g: str | Out[STRING],
        t5xxl: str | Out[STRING],
        empty_padding: Literal['none', 'empty_prompt'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Encode a prompt for SD3, with a text for each text encoder."""

    def CLIPTextEncodeSDXL(
        self,
        *,
        clip: Out[CLIP],
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        crop_w: int | Out[INT] = ...,
        crop_h: int | Out[INT] = ...,
        target_width: int | Out[INT] = ...,
        target_height: int | Out[INT] = ...,
        text_g: str | Out[STRING],
        text_l: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Encode a prompt for SDXL, with a text for each text encoder and the sizes that it is to…"""

    def CLIPTextEncodeSDXLRefiner(
        self,
        *,
        ascore: float | Out[FLOAT] = ...,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        text: str | Out[STRING],
        clip: Out[CLIP],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Encode a prompt for SDXL's refiner, which is told how well liked the picture should be."""

    def CLIPVisionEncode(
        self,
        *,
        clip_vision: Out[CLIP_VISION],
        image: Out[IMAGE],
        crop: Literal['center', 'none'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP_VISION_OUTPUT]:
        """Look at pictures: what the encoder sees, for nodes that tell a model of it."""

    def CLIPVisionLoader(
        self,
        *,
        clip_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP_VISION]:
        """Open a vision encoder: CLIP's (ViT-L, H or bigG) or SigLIP's."""

    def Canny(
        self,
        *,
        image: Out[IMAGE],
        low_threshold: float | Out[FLOAT] = ...,
        high_threshold: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Draw the edges of pictures in white on black."""

    def CaseConverter(
        self,
        *,
        string: str | Out[STRING],
        mode: Literal['UPPERCASE', 'lowercase', 'Capitalize', 'Title Case'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Change a text's letters: all upper, all lower, the first upper, or each word's first."""

    def CheckpointLoader(
        self,
        *,
        config_name: str | Out[Any],
        ckpt_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[CLIP], Out[VAE]]:
        """Open a checkpoint with a configuration file of the original code."""

    def CheckpointLoaderSimple(
        self,
        *,
        ckpt_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[CLIP], Out[VAE]]:
        """Open a checkpoint: the model, the text encoder and the VAE that one file holds."""

    def CheckpointSave(
        self,
        *,
        model: Out[MODEL],
        clip: Out[CLIP],
        vae: Out[VAE],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write a model, its text encoders and its VAE into one file of the output folder."""

    def ConditioningAverage(
        self,
        *,
        conditioning_to: Out[CONDITIONING],
        conditioning_from: Out[CONDITIONING],
        conditioning_to_strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Mix two encoded texts: 1 is all `conditioning_to`, 0 all `conditioning_from`."""

    def ConditioningCombine(
        self,
        *,
        conditioning_1: Out[CONDITIONING],
        conditioning_2: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Let both hold: the model is asked for each, and the answers are averaged by strength."""

    def ConditioningConcat(
        self,
        *,
        conditioning_to: Out[CONDITIONING],
        conditioning_from: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Append the tokens of `conditioning_from` to every condition of `conditioning_to`."""

    def ConditioningSetArea(
        self,
        *,
        conditioning: Out[CONDITIONING],
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        x: int | Out[INT] = ...,
        y: int | Out[INT] = ...,
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Let it hold for a rectangle of the picture only; sizes and offsets in pixels."""

    def ConditioningSetAreaPercentage(
        self,
        *,
        conditioning: Out[CONDITIONING],
        width: float | Out[FLOAT] = ...,
        height: float | Out[FLOAT] = ...,
        x: float | Out[FLOAT] = ...,
        y: float | Out[FLOAT] = ...,
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """The same in parts of the picture's width and height: 0.5 is half of it."""

    def ConditioningSetAreaStrength(
        self,
        *,
        conditioning: Out[CONDITIONING],
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Say how much it counts where it overlaps with others, area or not; 0 is not at all."""

    def ConditioningSetMask(
        self,
        *,
        conditioning: Out[CONDITIONING],
        mask: Out[MASK],
        strength: float | Out[FLOAT] = ...,
        set_cond_area: Literal['default', 'mask bounds'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Let it hold where the mask is not 0, weighted by the mask; the mask may have any size."""

    def ConditioningSetTimestepRange(
        self,
        *,
        conditioning: Out[CONDITIONING],
        start: float | Out[FLOAT] = ...,
        end: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Let it hold for a part of the denoising only: 0 is pure noise, 1 the finished image."""

    def ConditioningZeroOut(
        self,
        *,
        conditioning: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """The same shapes with all zeros: a condition that says nothing."""

    def ControlNetApply(
        self,
        *,
        conditioning: Out[CONDITIONING],
        control_net: Out[CONTROL_NET],
        image: Out[IMAGE],
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Let a picture steer the model while it follows this prompt."""

    def ControlNetApplyAdvanced(
        self,
        *,
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        control_net: Out[CONTROL_NET],
        image: Out[IMAGE],
        strength: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        vae: Out[VAE] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[CONDITIONING], Out[CONDITIONING]]:
        """Let a picture (edges, depth, a pose) steer the model; several can be chained, and add u…"""

    def ControlNetApplySD3(
        self,
        *,
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        control_net: Out[CONTROL_NET],
        vae: Out[VAE],
        image: Out[IMAGE],
        strength: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[CONDITIONING], Out[CONDITIONING]]:
        """The same as Apply ControlNet, for ControlNets that read latents."""

    def ControlNetInpaintingAliMamaApply(
        self,
        *,
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        control_net: Out[CONTROL_NET],
        vae: Out[VAE],
        image: Out[IMAGE],
        mask: Out[MASK],
        strength: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[CONDITIONING], Out[CONDITIONING]]:
        """Let a ControlNet for inpainting fill the masked part of a picture, to suit the rest."""

    def ControlNetLoader(
        self,
        *,
        control_net_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONTROL_NET]:
        """Open a ControlNet, in the original layout or in diffusers'."""

    def CropMask(
        self,
        *,
        mask: Out[MASK],
        x: int | Out[INT] = ...,
        y: int | Out[INT] = ...,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Cut a rectangle out, less where the mask ends sooner."""

    def DiffControlNetLoader(
        self,
        *,
        model: Out[MODEL],
        control_net_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONTROL_NET]:
        """Open a ControlNet whose file holds only the difference to a model's own weights."""

    def DifferentialDiffusion(
        self,
        *,
        model: Out[MODEL],
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Let grey in a latent's mask mean how much may change: the darker, the less."""

    def DiffusersLoader(
        self,
        *,
        model_path: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[CLIP], Out[VAE]]:
        """Open a folder as diffusers writes it: the model, the text encoders and the VAE."""

    def DisableNoise(
        self,
        *,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[NOISE]:
        """No noise at the start, for latents that have some already."""

    def DualCFGGuider(
        self,
        *,
        model: Out[MODEL],
        cond1: Out[CONDITIONING],
        cond2: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        cfg_conds: float | Out[FLOAT] = ...,
        cfg_cond2_negative: float | Out[FLOAT] = ...,
        style: Literal['regular', 'nested'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[GUIDER]:
        """Guide by two prompts: from the negative to `cond2`, and from there on to `cond1`."""

    def DualCLIPLoader(
        self,
        *,
        clip_name1: str | Out[Any],
        clip_name2: str | Out[Any],
        type: Literal['sdxl', 'sd3', 'flux', 'hunyuan_video', 'hidream', 'hunyuan_image'] | Out[Any],
        device: Literal['default', 'cpu'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Open two text encoders, in any order."""

    def EasyCache(
        self,
        *,
        model: Out[MODEL],
        reuse_threshold: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        verbose: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Skip the model in steps where its answer would be much like the one before."""

    def EmptyImage(
        self,
        *,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        batch_size: int | Out[INT] = ...,
        color: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Pictures of one colour, written 0xRRGGBB: [batch_size, height, width, 3]."""

    def EmptyLatentImage(
        self,
        *,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """A blank canvas for text-to-image: zeros, [batch_size, 4, height/8, width/8]."""

    def EmptySD3LatentImage(
        self,
        *,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """A blank canvas for models of 16 latent channels: zeros, [batch_size, 16, height/8, widt…"""

    def ExponentialScheduler(
        self,
        *,
        steps: int | Out[INT] = ...,
        sigma_max: float | Out[FLOAT] = ...,
        sigma_min: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Evenly spaced in the logarithm of sigma."""

    def ExtendIntermediateSigmas(
        self,
        *,
        sigmas: Out[SIGMAS],
        steps: int | Out[INT] = ...,
        start_at_sigma: float | Out[FLOAT] = ...,
        end_at_sigma: float | Out[FLOAT] = ...,
        spacing: Literal['linear', 'cosine', 'sine'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Take `steps` steps instead of one wherever a step begins between two levels."""

    def FeatherMask(
        self,
        *,
        mask: Out[MASK],
        left: int | Out[INT] = ...,
        top: int | Out[INT] = ...,
        right: int | Out[INT] = ...,
        bottom: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Fade a mask in from its sides, linearly over so many pixels."""

    def FlipSigmas(
        self,
        *,
        sigmas: Out[SIGMAS],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """The levels the other way round, from the image back to the noise; 0 becomes 0.0001."""

    def FluxDisableGuidance(
        self,
        *,
        conditioning: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Tell a model that knows guidance none at all."""

    def FluxGuidance(
        self,
        *,
        conditioning: Out[CONDITIONING],
        guidance: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Say how closely FLUX.1 dev should follow the prompt; 3.5 where nobody says."""

    def FluxKontextImageScale(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Scale a picture to the size nearest to its shape that FLUX.1 Kontext was trained with."""

    def FluxKontextMultiReferenceLatentMethod(
        self,
        *,
        conditioning: Out[CONDITIONING],
        reference_latents_method: Literal['offset', 'index', 'uxo/uno'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Say how FLUX.1 Kontext tells several reference pictures apart."""

    def FreSca(
        self,
        *,
        model: Out[MODEL],
        scale_low: float | Out[FLOAT] = ...,
        scale_high: float | Out[FLOAT] = ...,
        freq_cutoff: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Guide coarse shapes (`scale_low`) and fine detail (`scale_high`) by different amounts."""

    def FreeU(
        self,
        *,
        model: Out[MODEL],
        b1: float | Out[FLOAT] = ...,
        b2: float | Out[FLOAT] = ...,
        s1: float | Out[FLOAT] = ...,
        s2: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Let a U-Net's depth count for more: better shapes, at no cost. No training needed."""

    def FreeU_V2(
        self,
        *,
        model: Out[MODEL],
        b1: float | Out[FLOAT] = ...,
        b2: float | Out[FLOAT] = ...,
        s1: float | Out[FLOAT] = ...,
        s2: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """The same as FreeU, with the most effect where there is something in the picture."""

    def GLIGENLoader(
        self,
        *,
        gligen_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[GLIGEN]:
        """Open a GLIGEN model, which teaches a Stable Diffusion 1 model to fill boxes."""

    def GLIGENTextBoxApply(
        self,
        *,
        conditioning_to: Out[CONDITIONING],
        clip: Out[CLIP],
        gligen_textbox_model: Out[GLIGEN],
        text: str | Out[STRING],
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        x: int | Out[INT] = ...,
        y: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Let what a text says appear in a rectangle; sizes and offsets in pixels."""

    def GetImageSize(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[INT], Out[INT], Out[INT]]:
        """The width and height of pictures, and how many there are."""

    def GrowMask(
        self,
        *,
        mask: Out[MASK],
        expand: int | Out[INT] = ...,
        tapered_corners: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Widen what a mask covers by some pixels, or narrow it where `expand` is negative."""

    def GuidanceSchedule(
        self,
        *,
        model: Out[MODEL],
        shape: Literal['constant', 'linear', 'cosine'] | Out[Any] = ...,
        first: float | Out[FLOAT] = ...,
        last: float | Out[FLOAT] = ...,
        start: float | Out[FLOAT] = ...,
        end: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Let the guidance change from step to step: a share of the sampler's `cfg`."""

    def HyperTile(
        self,
        *,
        model: Out[MODEL],
        tile_size: int | Out[INT] = ...,
        swap_size: int | Out[INT] = ...,
        max_depth: int | Out[INT] = ...,
        scale_depth: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Let a U-Net attend within tiles only, which makes large pictures faster."""

    def IPAdapterApply(
        self,
        *,
        model: Out[MODEL],
        ipadapter: Out[IPADAPTER],
        clip_vision: Out[CLIP_VISION],
        image: Out[IMAGE],
        weight: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        mask: Out[MASK] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Let the model see pictures while it follows the prompt; several can be chained, and add…"""

    def IPAdapterLoader(
        self,
        *,
        ipadapter_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IPADAPTER]:
        """Open an IP-Adapter for Stable Diffusion 1.5 or SDXL: a plain, plus or full-face one."""

    def ImageAddNoise(
        self,
        *,
        image: Out[IMAGE],
        seed: int | Out[INT] = ...,
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Add Gaussian noise of the standard deviation `strength`; drawn on the CPU from the seed."""

    def ImageBatch(
        self,
        *,
        image1: Out[IMAGE],
        image2: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Two batches as one, `image1` first."""

    def ImageBlend(
        self,
        *,
        image1: Out[IMAGE],
        image2: Out[IMAGE],
        blend_factor: float | Out[FLOAT] = ...,
        blend_mode: Literal['normal', 'multiply', 'screen', 'overlay', 'soft_light', 'difference'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Mix two pictures: at 0 it is `image1`, at 1 the two blended."""

    def ImageBlur(
        self,
        *,
        image: Out[IMAGE],
        blur_radius: int | Out[INT] = ...,
        sigma: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Blur with a Gaussian over (2 * blur_radius + 1)² pixels."""

    def ImageColorToMask(
        self,
        *,
        image: Out[IMAGE],
        color: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """1 where a pixel has exactly this colour, 0xRRGGBB, once rounded to 8 bits; else 0."""

    def ImageCompositeMasked(
        self,
        *,
        destination: Out[IMAGE],
        source: Out[IMAGE],
        x: int | Out[INT] = ...,
        y: int | Out[INT] = ...,
        resize_source: bool | Out[BOOLEAN] = ...,
        mask: Out[MASK] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Lay `source` onto `destination`, its corner at (x, y); what sticks out is cut off."""

    def ImageCrop(
        self,
        *,
        image: Out[IMAGE],
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        x: int | Out[INT] = ...,
        y: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Cut a rectangle out of pictures, less where they end sooner."""

    def ImageFlip(
        self,
        *,
        image: Out[IMAGE],
        flip_method: Literal['x-axis: vertically', 'y-axis: horizontally'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Mirror pictures: upside down (`x-axis`), or left to right (`y-axis`)."""

    def ImageFromBatch(
        self,
        *,
        image: Out[IMAGE],
        batch_index: int | Out[INT] = ...,
        length: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """`length` pictures of a batch from number `batch_index` on, fewer where it ends."""

    def ImageInvert(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """The negative: 1 - value, in every channel."""

    def ImagePadForOutpaint(
        self,
        *,
        image: Out[IMAGE],
        left: int | Out[INT] = ...,
        top: int | Out[INT] = ...,
        right: int | Out[INT] = ...,
        bottom: int | Out[INT] = ...,
        feathering: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[MASK]]:
        """Put a grey margin round pictures, and make the mask that has it painted."""

    def ImageQuantize(
        self,
        *,
        image: Out[IMAGE],
        colors: int | Out[INT] = ...,
        dither: Literal['none', 'floyd-steinberg', 'bayer-2', 'bayer-4', 'bayer-8', 'bayer-16'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Paint each picture with few colours of its own, chosen by median cut."""

    def ImageRGBToYUV(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[IMAGE], Out[IMAGE]]:
        """Split pictures into brightness (Y) and colour: U is blue, V red, both 0.5 where grey."""

    def ImageRotate(
        self,
        *,
        image: Out[IMAGE],
        rotation: Literal['none', '90 degrees', '180 degrees', '270 degrees'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Turn pictures clockwise."""

    def ImageScale(
        self,
        *,
        image: Out[IMAGE],
        upscale_method: Literal['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] | Out[Any],
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        crop: Literal['disabled', 'center'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Resize pictures to `width` by `height`."""

    def ImageScaleBy(
        self,
        *,
        image: Out[IMAGE],
        upscale_method: Literal['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] | Out[Any],
        scale_by: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Resize pictures by a factor; each side is rounded to whole pixels, at least one."""

    def ImageScaleToMaxDimension(
        self,
        *,
        image: Out[IMAGE],
        upscale_method: Literal['area', 'lanczos', 'bilinear', 'nearest-exact', 'bilinear', 'bicubic'] | Out[Any],
        largest_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Resize pictures until the longer side has this many pixels; 0 changes nothing."""

    def ImageScaleToTotalPixels(
        self,
        *,
        image: Out[IMAGE],
        upscale_method: Literal['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] | Out[Any],
        megapixels: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Resize pictures to so many pixels in all, 1024 * 1024 each megapixel; the shape stays."""

    def ImageSharpen(
        self,
        *,
        image: Out[IMAGE],
        sharpen_radius: int | Out[INT] = ...,
        sigma: float | Out[FLOAT] = ...,
        alpha: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Add `10 * alpha` times what ImageBlur would take away (an unsharp mask)."""

    def ImageStitch(
        self,
        *,
        image1: Out[IMAGE],
        direction: Literal['right', 'down', 'left', 'up'] | Out[Any] = ...,
        match_image_size: bool | Out[BOOLEAN] = ...,
        spacing_width: int | Out[INT] = ...,
        spacing_color: Literal['white', 'black', 'red', 'green', 'blue'] | Out[Any] = ...,
        image2: Out[IMAGE] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Put `image2` beside `image1`, on the side that `direction` names."""

    def ImageToMask(
        self,
        *,
        image: Out[IMAGE],
        channel: Literal['red', 'green', 'blue', 'alpha'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """One channel of pictures as masks: [batch, height, width]."""

    def ImageUpscaleWithModel(
        self,
        *,
        upscale_model: Out[UPSCALE_MODEL],
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Enlarge pictures by the model's own factor; transparency is left out."""

    def ImageYUVToRGB(
        self,
        *,
        Y: Out[IMAGE],
        U: Out[IMAGE],
        V: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Join brightness and colour again, the inverse of ImageRGBToYUV."""

    def InpaintModelConditioning(
        self,
        *,
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        vae: Out[VAE],
        pixels: Out[IMAGE],
        mask: Out[MASK],
        noise_mask: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[CONDITIONING], Out[CONDITIONING], Out[LATENT]]:
        """Show a model that was made for inpainting the picture without its masked part, and the…"""

    def InstructPixToPixConditioning(
        self,
        *,
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        vae: Out[VAE],
        pixels: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[CONDITIONING], Out[CONDITIONING], Out[LATENT]]:
        """Show the picture to a model that changes it as told, or that follows its edges or depth."""

    def InvertMask(
        self,
        *,
        mask: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """1 - mask: what was kept is made anew, and the other way round."""

    def JoinImageWithAlpha(
        self,
        *,
        image: Out[IMAGE],
        alpha: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Make pictures transparent where the mask is 1: [batch, height, width, 4]."""

    def KSampler(
        self,
        *,
        model: Out[MODEL],
        seed: int | Out[INT] = ...,
        steps: int | Out[INT] = ...,
        cfg: float | Out[FLOAT] = ...,
        sampler_name: Literal['euler', 'euler_cfg_pp', 'euler_ancestral', 'euler_ancestral_cfg_pp', 'heun', 'heunpp2', 'dpm_2', 'dpm_2_ancestral', 'lms', 'dpm_fast', 'dpm_adaptive', 'dpmpp_2s_ancestral', 'dpmpp_2s_ancestral_cfg_pp', 'dpmpp_sde', 'dpmpp_sde_gpu', 'dpmpp_2m', 'dpmpp_2m_cfg_pp', 'dpmpp_2m_sde', 'dpmpp_2m_sde_gpu', 'dpmpp_2m_sde_heun', 'dpmpp_2m_sde_heun_gpu', 'dpmpp_3m_sde', 'dpmpp_3m_sde_gpu', 'ddpm', 'lcm', 'ipndm', 'ipndm_v', 'deis', 'res_multistep', 'res_multistep_cfg_pp', 'res_multistep_ancestral', 'res_multistep_ancestral_cfg_pp', 'gradient_estimation', 'gradient_estimation_cfg_pp', 'er_sde', 'seeds_2', 'seeds_3', 'sa_solver', 'sa_solver_pece', 'ddim', 'uni_pc', 'uni_pc_bh2'] | Out[Any],
        scheduler: Literal['simple', 'sgm_uniform', 'karras', 'exponential', 'ddim_uniform', 'beta', 'normal', 'linear_quadratic', 'kl_optimal'] | Out[Any],
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        latent_image: Out[LATENT],
        denoise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Add the seed's noise to a latent and remove it again, step by step, as the prompts say."""

    def KSamplerAdvanced(
        self,
        *,
        model: Out[MODEL],
        add_noise: Literal['enable', 'disable'] | Out[Any],
        noise_seed: int | Out[INT] = ...,
        steps: int | Out[INT] = ...,
        cfg: float | Out[FLOAT] = ...,
        sampler_name: Literal['euler', 'euler_cfg_pp', 'euler_ancestral', 'euler_ancestral_cfg_pp', 'heun', 'heunpp2', 'dpm_2', 'dpm_2_ancestral', 'lms', 'dpm_fast', 'dpm_adaptive', 'dpmpp_2s_ancestral', 'dpmpp_2s_ancestral_cfg_pp', 'dpmpp_sde', 'dpmpp_sde_gpu', 'dpmpp_2m', 'dpmpp_2m_cfg_pp', 'dpmpp_2m_sde', 'dpmpp_2m_sde_gpu', 'dpmpp_2m_sde_heun', 'dpmpp_2m_sde_heun_gpu', 'dpmpp_3m_sde', 'dpmpp_3m_sde_gpu', 'ddpm', 'lcm', 'ipndm', 'ipndm_v', 'deis', 'res_multistep', 'res_multistep_cfg_pp', 'res_multistep_ancestral', 'res_multistep_ancestral_cfg_pp', 'gradient_estimation', 'gradient_estimation_cfg_pp', 'er_sde', 'seeds_2', 'seeds_3', 'sa_solver', 'sa_solver_pece', 'ddim', 'uni_pc', 'uni_pc_bh2'] | Out[Any],
        scheduler: Literal['simple', 'sgm_uniform', 'karras', 'exponential', 'ddim_uniform', 'beta', 'normal', 'linear_quadratic', 'kl_optimal'] | Out[Any],
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        latent_image: Out[LATENT],
        start_at_step: int | Out[INT] = ...,
        end_at_step: int | Out[INT] = ...,
        return_with_leftover_noise: Literal['disable', 'enable'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Take some of the steps of a schedule, so that several samplers can share one."""

    def KSamplerSelect(
        self,
        *,
        sampler_name: Literal['euler', 'euler_cfg_pp', 'euler_ancestral', 'euler_ancestral_cfg_pp', 'heun', 'heunpp2', 'dpm_2', 'dpm_2_ancestral', 'lms', 'dpm_fast', 'dpm_adaptive', 'dpmpp_2s_ancestral', 'dpmpp_2s_ancestral_cfg_pp', 'dpmpp_sde', 'dpmpp_sde_gpu', 'dpmpp_2m', 'dpmpp_2m_cfg_pp', 'dpmpp_2m_sde', 'dpmpp_2m_sde_gpu', 'dpmpp_2m_sde_heun', 'dpmpp_2m_sde_heun_gpu', 'dpmpp_3m_sde', 'dpmpp_3m_sde_gpu', 'ddpm', 'lcm', 'ipndm', 'ipndm_v', 'deis', 'res_multistep', 'res_multistep_cfg_pp', 'res_multistep_ancestral', 'res_multistep_ancestral_cfg_pp', 'gradient_estimation', 'gradient_estimation_cfg_pp', 'er_sde', 'seeds_2', 'seeds_3', 'sa_solver', 'sa_solver_pece', 'ddim', 'uni_pc', 'uni_pc_bh2'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """A sampler with its usual options."""

    def KarrasScheduler(
        self,
        *,
        steps: int | Out[INT] = ...,
        sigma_max: float | Out[FLOAT] = ...,
        sigma_min: float | Out[FLOAT] = ...,
        rho: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Evenly spaced in the root of sigma: the higher `rho`, the more levels are low ones."""

    def LTXVScheduler(
        self,
        *,
        steps: int | Out[INT] = ...,
        max_shift: float | Out[FLOAT] = ...,
        base_shift: float | Out[FLOAT] = ...,
        stretch: bool | Out[BOOLEAN] = ...,
        terminal: float | Out[FLOAT] = ...,
        latent: Out[LATENT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """A flow's levels, shifted towards the noise the more, the larger the latent is."""

    def LaplaceScheduler(
        self,
        *,
        steps: int | Out[INT] = ...,
        sigma_max: float | Out[FLOAT] = ...,
        sigma_min: float | Out[FLOAT] = ...,
        mu: float | Out[FLOAT] = ...,
        beta: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Most levels near e^`mu`, spread by `beta`: `steps` of them, the last one `sigma_min`."""

    def LatentAdd(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """The sum, value by value; `samples2` is brought to the size and batch of `samples1`."""

    def LatentApplyOperation(
        self,
        *,
        samples: Out[LATENT],
        operation: Out[LATENT_OPERATION],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Apply an operation to a latent."""

    def LatentApplyOperationCFG(
        self,
        *,
        model: Out[MODEL],
        operation: Out[LATENT_OPERATION],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Apply an operation to the guidance of every step, wherever there is one (not at 1)."""

    def LatentBatch(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Two batches as one, `samples1` first, whose mask holds for all."""

    def LatentBatchSeedBehavior(
        self,
        *,
        samples: Out[LATENT],
        seed_behavior: Literal['random', 'fixed'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Say which noise the latents of a batch take: each its own, or `fixed`: all the first's."""

    def LatentBlend(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        blend_factor: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Mix two latents: 1 is all `samples1`, 0 all `samples2`, brought to the other's size."""

    def LatentComposite(
        self,
        *,
        samples_to: Out[LATENT],
        samples_from: Out[LATENT],
        x: int | Out[INT] = ...,
        y: int | Out[INT] = ...,
        feather: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Lay `samples_from` onto `samples_to`, its corner at (x, y), in pixels, in steps of 8."""

    def LatentCompositeMasked(
        self,
        *,
        destination: Out[LATENT],
        source: Out[LATENT],
        x: int | Out[INT] = ...,
        y: int | Out[INT] = ...,
        resize_source: bool | Out[BOOLEAN] = ...,
        mask: Out[MASK] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Lay `source` onto `destination`, its corner at (x, y), in pixels, in steps of 8."""

    def LatentConcat(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        dim: Literal['x', '-x', 'y', '-y', 't', '-t'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Put `samples2` beside `samples1`: right (`x`), left (`-x`), below (`y`) or above (`-y`)."""

    def LatentCrop(
        self,
        *,
        samples: Out[LATENT],
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        x: int | Out[INT] = ...,
        y: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Cut a rectangle out, less where the latent ends sooner; all in pixels, in steps of 8."""

    def LatentCut(
        self,
        *,
        samples: Out[LATENT],
        dim: Literal['x', 'y', 't'] | Out[Any],
        index: int | Out[INT] = ...,
        amount: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Cut `amount` columns (`x`), rows (`y`) or frames (`t`) out of latents, from `index` on."""

    def LatentFlip(
        self,
        *,
        samples: Out[LATENT],
        flip_method: Literal['x-axis: vertically', 'y-axis: horizontally'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Mirror latents: upside down (`x-axis`), or left to right (`y-axis`)."""

    def LatentFromBatch(
        self,
        *,
        samples: Out[LATENT],
        batch_index: int | Out[INT] = ...,
        length: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """`length` latents of a batch from number `batch_index` on, fewer where it ends."""

    def LatentInterpolate(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        ratio: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Go from `samples2` (0) to `samples1` (1), directions and lengths apart."""

    def LatentMultiply(
        self,
        *,
        samples: Out[LATENT],
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Every value times a number."""

    def LatentOperationSharpen(
        self,
        *,
        sharpen_radius: int | Out[INT] = ...,
        sigma: float | Out[FLOAT] = ...,
        alpha: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT_OPERATION]:
        """Sharpen a latent by `alpha`: what a blur of `sigma` latent pixels takes away is added."""

    def LatentOperationTonemapReinhard(
        self,
        *,
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT_OPERATION]:
        """Shorten the longest vectors of a latent, against colours that high guidance overdoes."""

    def LatentRotate(
        self,
        *,
        samples: Out[LATENT],
        rotation: Literal['none', '90 degrees', '180 degrees', '270 degrees'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Turn latents clockwise."""

    def LatentSubtract(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """`samples1` - `samples2`, which is brought to the size and batch of `samples1`."""

    def LatentUpscale(
        self,
        *,
        samples: Out[LATENT],
        upscale_method: Literal['nearest-exact', 'bilinear', 'area', 'bicubic', 'bislerp'] | Out[Any],
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        crop: Literal['disabled', 'center'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Resize latents to a size given in pixels (of the picture they decode to)."""

    def LatentUpscaleBy(
        self,
        *,
        samples: Out[LATENT],
        upscale_method: Literal['nearest-exact', 'bilinear', 'area', 'bicubic', 'bislerp'] | Out[Any],
        scale_by: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Resize latents by a factor; each side is rounded to whole latent pixels, at least one."""

    def LazyCache(
        self,
        *,
        model: Out[MODEL],
        reuse_threshold: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        verbose: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """The same as EasyCache for what all prompts and their guidance make together."""

    def LoadImage(
        self,
        *,
        image: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[MASK]]:
        """Read a picture of the input folder, turned as the camera held it."""

    def LoadImageMask(
        self,
        *,
        image: str | Out[Any],
        channel: Literal['alpha', 'red', 'green', 'blue'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Read one channel of a picture as a mask, [1, height, width]."""

    def LoadImageOutput(
        self,
        *,
        image: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[MASK]]:
        """Read a picture of the output folder, such as `cat_00001_.png [output]`; see `LoadImage`."""

    def LoadLatent(
        self,
        *,
        latent: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Read a `.latent` file of the input folder."""

    def LoraLoader(
        self,
        *,
        model: Out[MODEL],
        clip: Out[CLIP],
        lora_name: str | Out[Any],
        strength_model: float | Out[FLOAT] = ...,
        strength_clip: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[CLIP]]:
        """Change a model and its text encoder by a LoRA; several can be chained."""

    def LoraLoaderModelOnly(
        self,
        *,
        model: Out[MODEL],
        lora_name: str | Out[Any],
        strength_model: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Change a model by a LoRA, and leave the text encoder as it is."""

    def MaskComposite(
        self,
        *,
        destination: Out[MASK],
        source: Out[MASK],
        x: int | Out[INT] = ...,
        y: int | Out[INT] = ...,
        operation: Literal['multiply', 'add', 'subtract', 'and', 'or', 'xor'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Lay `source` onto `destination`, its corner at (x, y); what sticks out is cut off."""

    def MaskPreview(
        self,
        *,
        mask: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Show masks without keeping them: grey pictures in the temp folder, 1 is white."""

    def MaskToImage(
        self,
        *,
        mask: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Masks as grey pictures: 1 is white."""

    def ModelComputeDtype(
        self,
        *,
        model: Out[MODEL],
        dtype: Literal['default', 'fp32', 'fp16', 'bf16'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Choose the precision that a model computes in; `default` is what suits it and the devic…"""

    def ModelMergeAdd(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Add a model's weights to another's: what `ModelMergeSubtract` made, as a rule."""

    def ModelMergeBlocks(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        input: float | Out[FLOAT] = ...,
        middle: float | Out[FLOAT] = ...,
        out: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Mix two models by the sides of their U-Nets: 1 is all of the first, 0 of the second."""

    def ModelMergeFlux1(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        guidance_in: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[MODEL]:
        """Mix two models block by block: 1 is all of the first, 0 all of the second."""

    def ModelMergeSD1(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[MODEL]:
        """Mix two models block by block: 1 is all of the first, 0 all of the second."""

    def ModelMergeSD2(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[MODEL]:
        """Mix two models block by block: 1 is all of the first, 0 all of the second."""

    def ModelMergeSD35_Large(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[MODEL]:
        """Mix two models block by block: 1 is all of the first, 0 all of the second."""

    def ModelMergeSD3_2B(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[MODEL]:
        """Mix two models block by block: 1 is all of the first, 0 all of the second."""

    def ModelMergeSDXL(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[MODEL]:
        """Mix two models block by block: 1 is all of the first, 0 all of the second."""

    def ModelMergeSimple(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        ratio: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Mix two models: `ratio` of the first, the rest of the second."""

    def ModelMergeSubtract(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """What distinguishes the first model from the second, times `multiplier`."""

    def ModelPatchLoader(
        self,
        *,
        name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL_PATCH]:
        """Open a patch for a model that is no LoRA: USO's projector."""

    def ModelSamplingAuraFlow(
        self,
        *,
        model: Out[MODEL],
        shift: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """The same as ModelSamplingSD3, for models that are told the level itself, from 0 to 1."""

    def ModelSamplingContinuousEDM(
        self,
        *,
        model: Out[MODEL],
        sampling: Literal['v_prediction', 'edm', 'edm_playground_v2.5', 'eps', 'cosmos_rflow'] | Out[Any],
        sigma_max: float | Out[FLOAT] = ...,
        sigma_min: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """For models that were trained on any level of noise between two."""

    def ModelSamplingContinuousV(
        self,
        *,
        model: Out[MODEL],
        sampling: Literal['v_prediction'] | Out[Any],
        sigma_max: float | Out[FLOAT] = ...,
        sigma_min: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """For models that predict v at any level between two, and are told its angle from 0 to 1."""

    def ModelSamplingDiscrete(
        self,
        *,
        model: Out[MODEL],
        sampling: Literal['eps', 'v_prediction', 'lcm', 'x0', 'img_to_img'] | Out[Any],
        zsnr: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Say what a model predicts, where its file does not."""

    def ModelSamplingFlux(
        self,
        *,
        model: Out[MODEL],
        max_shift: float | Out[FLOAT] = ...,
        base_shift: float | Out[FLOAT] = ...,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Shift FLUX's levels by the size of the picture."""

    def ModelSamplingSD3(
        self,
        *,
        model: Out[MODEL],
        shift: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Shift a flow model's levels towards the noise: larger pictures need more, 1 is none."""

    def ModelSave(
        self,
        *,
        model: Out[MODEL],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write the part that denoises into a file of the output folder; see `CheckpointSave`."""

    def Morphology(
        self,
        *,
        image: Out[IMAGE],
        operation: Literal['erode', 'dilate', 'open', 'close', 'gradient', 'bottom_hat', 'top_hat'] | Out[Any],
        kernel_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Flat morphology over a square (Serra 1982), each channel by itself."""

    def OptimalStepsScheduler(
        self,
        *,
        model_type: Literal['FLUX'] | Out[Any],
        steps: int | Out[INT] = ...,
        denoise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Levels that were searched for FLUX.1-dev, at ten steps; others lie between these."""

    def PairConditioningCombine(
        self,
        *,
        positive_A: Out[CONDITIONING],
        negative_A: Out[CONDITIONING],
        positive_B: Out[CONDITIONING],
        negative_B: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[CONDITIONING], Out[CONDITIONING]]:
        """Combine two positive conditions, and two negative ones; see `Conditioning (Combine)`."""

    def PatchModelAddDownscale(
        self,
        *,
        model: Out[MODEL],
        block_number: int | Out[INT] = ...,
        downscale_factor: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        downscale_after_skip: bool | Out[BOOLEAN] = ...,
        downscale_method: Literal['bicubic', 'nearest-exact', 'bilinear', 'area', 'bislerp'] | Out[Any],
        upscale_method: Literal['bicubic', 'nearest-exact', 'bilinear', 'area', 'bislerp'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Let a U-Net see the picture smaller at first, so that large ones hang together."""

    def PerpNeg(
        self,
        *,
        model: Out[MODEL],
        empty_conditioning: Out[CONDITIONING],
        neg_scale: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """The same as PerpNegGuider for all samplers that use this model."""

    def PerpNegGuider(
        self,
        *,
        model: Out[MODEL],
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        empty_conditioning: Out[CONDITIONING],
        cfg: float | Out[FLOAT] = ...,
        neg_scale: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[GUIDER]:
        """Take from the negative prompt only what does not speak against the positive one."""

    def PerturbedAttentionGuidance(
        self,
        *,
        model: Out[MODEL],
        scale: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Guide away from what the model makes when it can't see how a picture hangs together."""

    def PhotoMakerEncode(
        self,
        *,
        photomaker: Out[PHOTOMAKER],
        image: Out[IMAGE],
        clip: Out[CLIP],
        text: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Encode a prompt in which a person appears: the one in the pictures."""

    def PhotoMakerLoader(
        self,
        *,
        photomaker_model_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[PHOTOMAKER]:
        """Open a PhotoMaker of version 1, for SDXL; the model needs its LoRA, too."""

    def PolyexponentialScheduler(
        self,
        *,
        steps: int | Out[INT] = ...,
        sigma_max: float | Out[FLOAT] = ...,
        sigma_min: float | Out[FLOAT] = ...,
        rho: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """A polynomial of degree `rho` in the logarithm of sigma; 1 is the exponential schedule."""

    def PorterDuffImageComposite(
        self,
        *,
        source: Out[IMAGE],
        source_alpha: Out[MASK],
        destination: Out[IMAGE],
        destination_alpha: Out[MASK],
        mode: Literal['ADD', 'CLEAR', 'DARKEN', 'DST', 'DST_ATOP', 'DST_IN', 'DST_OUT', 'DST_OVER', 'LIGHTEN', 'MULTIPLY', 'OVERLAY', 'SCREEN', 'SRC', 'SRC_ATOP', 'SRC_IN', 'SRC_OUT', 'SRC_OVER', 'XOR'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[MASK]]:
        """Lay `source` over `destination`, both with transparency, by one of Porter & Duff's rule…"""

    def PreviewAny(
        self,
        *,
        source: object,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Show any value as text."""

    def PreviewImage(
        self,
        *,
        images: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Show pictures without keeping them: they go to the temp folder, lightly compressed."""

    def PrimitiveBoolean(
        self,
        *,
        value: bool | Out[BOOLEAN],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[BOOLEAN]:
        """True or false, for all the inputs it is linked to."""

    def PrimitiveFloat(
        self,
        *,
        value: float | Out[FLOAT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[FLOAT]:
        """One number, for all the inputs it is linked to."""

    def PrimitiveInt(
        self,
        *,
        value: int | Out[INT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[INT]:
        """One whole number, for all the inputs it is linked to."""

    def PrimitiveString(
        self,
        *,
        value: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """One line of text, for all the inputs it is linked to."""

    def PrimitiveStringMultiline(
        self,
        *,
        value: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """A text of any number of lines, for all the inputs it is linked to."""

    def QuantizeModel(
        self,
        *,
        model: Out[MODEL],
        scheme: Literal['int8_weight_only', 'int8_dynamic', 'fp8_weight_only', 'int4_weight_only'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Keep the matrices of a model's blocks in 8 or 4 bits, with torchao (the extra `quant`)."""

    def RandomNoise(
        self,
        *,
        noise_seed: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[NOISE]:
        """The noise of a seed."""

    def RebatchImages(
        self,
        *,
        images: Out[IMAGE],
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Pictures in batches of this size, whatever batches they came in; the last may be smalle…"""

    def RebatchLatents(
        self,
        *,
        latents: Out[LATENT],
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Latents in batches of this size, whatever batches they came in."""

    def ReferenceLatent(
        self,
        *,
        conditioning: Out[CONDITIONING],
        latent: Out[LATENT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Let an edit model such as FLUX.1 Kontext look at a picture while it makes another one."""

    def RegexExtract(
        self,
        *,
        string: str | Out[STRING],
        regex_pattern: str | Out[STRING],
        mode: Literal['First Match', 'All Matches', 'First Group', 'All Groups'] | Out[Any],
        case_insensitive: bool | Out[BOOLEAN] = ...,
        multiline: bool | Out[BOOLEAN] = ...,
        dotall: bool | Out[BOOLEAN] = ...,
        group_index: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Take what a pattern (Python's `re`) fits out of a text; nothing if it fits nowhere."""

    def RegexMatch(
        self,
        *,
        string: str | Out[STRING],
        regex_pattern: str | Out[STRING],
        case_insensitive: bool | Out[BOOLEAN] = ...,
        multiline: bool | Out[BOOLEAN] = ...,
        dotall: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[BOOLEAN]:
        """Whether the pattern (Python's `re`) fits anywhere in the text."""

    def RegexReplace(
        self,
        *,
        string: str | Out[STRING],
        regex_pattern: str | Out[STRING],
        replace: str | Out[STRING],
        case_insensitive: bool | Out[BOOLEAN] = ...,
        multiline: bool | Out[BOOLEAN] = ...,
        dotall: bool | Out[BOOLEAN] = ...,
        count: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Put `replace` wherever the pattern (Python's `re`) fits; `count` times, 0 being always."""

    def RepeatImageBatch(
        self,
        *,
        image: Out[IMAGE],
        amount: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """The whole batch `amount` times over."""

    def RepeatLatentBatch(
        self,
        *,
        samples: Out[LATENT],
        amount: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """The whole batch `amount` times over, [batch * amount, channels, h, w]."""

    def RescaleCFG(
        self,
        *,
        model: Out[MODEL],
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Keep the contrast that the positive prompt alone has, which high guidance overdoes."""

    def ResizeAndPadImage(
        self,
        *,
        image: Out[IMAGE],
        target_width: int | Out[INT] = ...,
        target_height: int | Out[INT] = ...,
        padding_color: Literal['white', 'black'] | Out[Any],
        interpolation: Literal['area', 'bicubic', 'nearest-exact', 'bilinear', 'lanczos'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Scale pictures to fit into a size, and fill what stays empty at two of the sides."""

    def SDTurboScheduler(
        self,
        *,
        model: Out[MODEL],
        steps: int | Out[INT] = ...,
        denoise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """The levels that SD-Turbo was distilled at; `denoise` leaves out the first of them."""

    def SafetyChecker(
        self,
        *,
        image: Out[IMAGE],
        checker_name: str | Out[Any],
        hide: Literal['black', 'blurred'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[BOOLEAN], Out[INT]]:
        """Hide pictures that show sexual content, as Stable Diffusion's own safety checker finds…"""

    def SamplerCustom(
        self,
        *,
        model: Out[MODEL],
        add_noise: bool | Out[BOOLEAN] = ...,
        noise_seed: int | Out[INT] = ...,
        cfg: float | Out[FLOAT] = ...,
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        sampler: Out[SAMPLER],
        sigmas: Out[SIGMAS],
        latent_image: Out[LATENT],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[LATENT], Out[LATENT]]:
        """Denoise a latent with a sampler and noise levels of one's own choice."""

    def SamplerCustomAdvanced(
        self,
        *,
        noise: Out[NOISE],
        guider: Out[GUIDER],
        sampler: Out[SAMPLER],
        sigmas: Out[SIGMAS],
        latent_image: Out[LATENT],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[LATENT], Out[LATENT]]:
        """Denoise a latent with noise, guidance, a sampler and noise levels of one's own choice."""

    def SamplerDPMAdaptative(
        self,
        *,
        order: int | Out[INT] = ...,
        rtol: float | Out[FLOAT] = ...,
        atol: float | Out[FLOAT] = ...,
        h_init: float | Out[FLOAT] = ...,
        pcoeff: float | Out[FLOAT] = ...,
        icoeff: float | Out[FLOAT] = ...,
        dcoeff: float | Out[FLOAT] = ...,
        accept_safety: float | Out[FLOAT] = ...,
        eta: float | Out[FLOAT] = ...,
        s_noise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """DPM-Solver that chooses its own steps between the first and the last level."""

    def SamplerDPMPP_2M_SDE(
        self,
        *,
        solver_type: Literal['midpoint', 'heun'] | Out[Any],
        eta: float | Out[FLOAT] = ...,
        s_noise: float | Out[FLOAT] = ...,
        noise_device: Literal['gpu', 'cpu'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """DPM-Solver++(2M) for the SDE; options as for ancestral Euler."""

    def SamplerDPMPP_2S_Ancestral(
        self,
        *,
        eta: float | Out[FLOAT] = ...,
        s_noise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """DPM-Solver++(2S) that adds noise at every step; options as for ancestral Euler."""

    def SamplerDPMPP_3M_SDE(
        self,
        *,
        eta: float | Out[FLOAT] = ...,
        s_noise: float | Out[FLOAT] = ...,
        noise_device: Literal['gpu', 'cpu'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """DPM-Solver++(3M) for the SDE; options as for SamplerDPMPP_2M_SDE."""

    def SamplerDPMPP_SDE(
        self,
        *,
        eta: float | Out[FLOAT] = ...,
        s_noise: float | Out[FLOAT] = ...,
        r: float | Out[FLOAT] = ...,
        noise_device: Literal['gpu', 'cpu'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """Single-step DPM-Solver++ for the SDE; options as for SamplerDPMPP_2M_SDE."""

    def SamplerER_SDE(
        self,
        *,
        solver_type: Literal['ER-SDE', 'Reverse-time SDE', 'ODE'] | Out[Any],
        max_stage: int | Out[INT] = ...,
        eta: float | Out[FLOAT] = ...,
        s_noise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """ER-SDE solver of up to three stages; `ODE` adds no noise."""

    def SamplerEulerAncestral(
        self,
        *,
        eta: float | Out[FLOAT] = ...,
        s_noise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """Euler's method that adds noise at every step."""

    def SamplerEulerAncestralCFGPP(
        self,
        *,
        eta: float | Out[FLOAT] = ...,
        s_noise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """Ancestral Euler with CFG++, for guidance between 0 and 2; options as for the plain one."""

    def SamplerEulerCFGpp(
        self,
        *,
        version: Literal['regular'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """Euler with CFG++, for guidance between 0 and 2."""

    def SamplerLCMUpscale(
        self,
        *,
        scale_ratio: float | Out[FLOAT] = ...,
        scale_steps: int | Out[INT] = ...,
        upscale_method: Literal['bislerp', 'nearest-exact', 'bilinear', 'area', 'bicubic'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """The LCM sampler that enlarges the latent on the way, evenly over the first steps."""

    def SamplerLMS(
        self,
        *,
        order: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """Linear multistep: a polynomial through the last `order` slopes."""

    def SamplerSASolver(
        self,
        *,
        model: Out[MODEL],
        eta: float | Out[FLOAT] = ...,
        sde_start_percent: float | Out[FLOAT] = ...,
        sde_end_percent: float | Out[FLOAT] = ...,
        s_noise: float | Out[FLOAT] = ...,
        predictor_order: int | Out[INT] = ...,
        corrector_order: int | Out[INT] = ...,
        use_pece: bool | Out[BOOLEAN],
        simple_order_2: bool | Out[BOOLEAN],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """SA-Solver, with noise `eta` between two fractions of the schedule."""

    def SamplingPercentToSigma(
        self,
        *,
        model: Out[MODEL],
        sampling_percent: float | Out[FLOAT] = ...,
        return_actual_sigma: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[FLOAT]:
        """The level at a fraction of the model's schedule: 0 is pure noise, 1 the finished image."""

    def SaveAnimatedPNG(
        self,
        *,
        images: Out[IMAGE],
        filename_prefix: str | Out[STRING] = ...,
        fps: float | Out[FLOAT] = ...,
        compress_level: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write a batch of pictures as one animated PNG that carries its workflow."""

    def SaveAnimatedWEBP(
        self,
        *,
        images: Out[IMAGE],
        filename_prefix: str | Out[STRING] = ...,
        fps: float | Out[FLOAT] = ...,
        lossless: bool | Out[BOOLEAN] = ...,
        quality: int | Out[INT] = ...,
        method: Literal['default', 'fastest', 'slowest'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write a batch of pictures as one animated WebP that carries its workflow."""

    def SaveImage(
        self,
        *,
        images: Out[IMAGE],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write each picture to the output folder as a PNG that carries its workflow."""

    def SaveLatent(
        self,
        *,
        samples: Out[LATENT],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write latents to the output folder, for `LoadLatent` to read: a `.latent` file."""

    def SetFirstSigma(
        self,
        *,
        sigmas: Out[SIGMAS],
        sigma: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """The same levels with another first one."""

    def SetLatentNoiseMask(
        self,
        *,
        samples: Out[LATENT],
        mask: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Sample only where the mask is 1 and keep the rest; the mask may have any size."""

    def SetUnionControlNetType(
        self,
        *,
        control_net: Out[CONTROL_NET],
        type: Literal['auto', 'openpose', 'depth', 'hed/pidi/scribble/ted', 'canny/lineart/anime_lineart/mlsd', 'normal', 'segment', 'tile', 'repaint'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONTROL_NET]:
        """Say which kind of hint a ControlNet gets that knows several."""

    def SkipLayerGuidanceDiT(
        self,
        *,
        model: Out[MODEL],
        double_layers: str | Out[STRING] = ...,
        single_layers: str | Out[STRING] = ...,
        scale: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        rescaling_scale: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """The same as SkipLayerGuidanceSD3 for every transformer."""

    def SkipLayerGuidanceDiTSimple(
        self,
        *,
        model: Out[MODEL],
        double_layers: str | Out[STRING] = ...,
        single_layers: str | Out[STRING] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Leave some layers out where the model follows the negative prompt, at no further cost."""

    def SkipLayerGuidanceSD3(
        self,
        *,
        model: Out[MODEL],
        layers: str | Out[STRING] = ...,
        scale: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Guide away from what the model makes without some of its layers: better hands, and bodi…"""

    def SolidMask(
        self,
        *,
        value: float | Out[FLOAT] = ...,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """A mask of one value everywhere: [1, height, width]."""

    def SplitImageWithAlpha(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[MASK]]:
        """Colours and transparency apart: the mask is 1 where the picture is transparent."""

    def SplitSigmas(
        self,
        *,
        sigmas: Out[SIGMAS],
        step: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[SIGMAS], Out[SIGMAS]]:
        """Cut a schedule in two after a number of steps, for two samplers."""

    def SplitSigmasDenoise(
        self,
        *,
        sigmas: Out[SIGMAS],
        denoise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[SIGMAS], Out[SIGMAS]]:
        """Cut a schedule in two so that this share of the steps is in the second part."""

    def StringCompare(
        self,
        *,
        string_a: str | Out[STRING],
        string_b: str | Out[STRING],
        mode: Literal['Starts With', 'Ends With', 'Equal'] | Out[Any],
        case_sensitive: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[BOOLEAN]:
        """Whether `string_a` begins with, ends with or is `string_b`."""

    def StringConcatenate(
        self,
        *,
        string_a: str | Out[STRING],
        string_b: str | Out[STRING],
        delimiter: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """`string_a`, the delimiter and `string_b` as one text."""

    def StringContains(
        self,
        *,
        string: str | Out[STRING],
        substring: str | Out[STRING],
        case_sensitive: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[BOOLEAN]:
        """Whether one text is a part of another."""

    def StringLength(
        self,
        *,
        string: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[INT]:
        """How many characters a text has."""

    def StringReplace(
        self,
        *,
        string: str | Out[STRING],
        find: str | Out[STRING],
        replace: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Put one text wherever another stands; an empty `find` stands between all characters."""

    def StringSubstring(
        self,
        *,
        string: str | Out[STRING],
        start: int | Out[INT],
        end: int | Out[INT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """The characters from `start`, counted from 0, up to but not including `end`."""

    def StringTrim(
        self,
        *,
        string: str | Out[STRING],
        mode: Literal['Both', 'Left', 'Right'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Take spaces and line ends away from a text's ends."""

    def StyleModelApply(
        self,
        *,
        conditioning: Out[CONDITIONING],
        style_model: Out[STYLE_MODEL],
        clip_vision_output: Out[CLIP_VISION_OUTPUT],
        strength: float | Out[FLOAT] = ...,
        strength_type: Literal['multiply', 'attn_bias'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Put a picture behind the prompt, as words that the model reads; several can be chained."""

    def StyleModelLoader(
        self,
        *,
        style_model_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STYLE_MODEL]:
        """Open a style model: FLUX.1 Redux, which turns pictures into words."""

    def T5TokenizerOptions(
        self,
        *,
        clip: Out[CLIP],
        min_padding: int | Out[INT] = ...,
        min_length: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Say how T5's prompts are padded: by at least `min_padding` tokens, to `min_length` toke…"""

    def TCFG(
        self,
        *,
        model: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Keep of the negative prediction only the direction that it shares with the positive one."""

    def ThresholdMask(
        self,
        *,
        mask: Out[MASK],
        value: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """1 where the mask is above `value`, 0 elsewhere."""

    def TomePatchModel(
        self,
        *,
        model: Out[MODEL],
        ratio: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Merge tokens that are alike before a U-Net attends to them: faster, at some loss of det…"""

    def TorchCompileModel(
        self,
        *,
        model: Out[MODEL],
        backend: Literal['inductor', 'cudagraphs'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Compile the network when it is first used: that takes minutes, then every step is faste…"""

    def TripleCLIPLoader(
        self,
        *,
        clip_name1: str | Out[Any],
        clip_name2: str | Out[Any],
        clip_name3: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Open SD3's three text encoders, in any order: CLIP-L, CLIP-G and T5."""

    def UNETLoader(
        self,
        *,
        unet_name: str | Out[Any],
        weight_dtype: Literal['default', 'fp8_e4m3fn', 'fp8_e4m3fn_fast', 'fp8_e5m2'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Open a file for the part that denoises: it may hold nothing else."""

    def UNetCrossAttentionMultiply(
        self,
        *,
        model: Out[MODEL],
        q: float | Out[FLOAT] = ...,
        k: float | Out[FLOAT] = ...,
        v: float | Out[FLOAT] = ...,
        out: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Multiply the weights of the attentions by which a U-Net reads the text."""

    def UNetSelfAttentionMultiply(
        self,
        *,
        model: Out[MODEL],
        q: float | Out[FLOAT] = ...,
        k: float | Out[FLOAT] = ...,
        v: float | Out[FLOAT] = ...,
        out: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Multiply the weights of a U-Net's self-attentions; transformers stay as they are."""

    def UNetTemporalAttentionMultiply(
        self,
        *,
        model: Out[MODEL],
        self_structural: float | Out[FLOAT] = ...,
        self_temporal: float | Out[FLOAT] = ...,
        cross_structural: float | Out[FLOAT] = ...,
        cross_temporal: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Multiply what a U-Net's attentions give, those within pictures and those between them."""

    def USOStyleReference(
        self,
        *,
        model: Out[MODEL],
        model_patch: Out[MODEL_PATCH],
        clip_vision_output: Out[CLIP_VISION_OUTPUT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Paint in the style of a picture, with USO's projector and LoRA on FLUX.1 dev."""

    def UpscaleModelLoader(
        self,
        *,
        model_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[UPSCALE_MODEL]:
        """Open an upscale model: ESRGAN or Real-ESRGAN, or one of the compact ones of the latter."""

    def VAEDecode(
        self,
        *,
        samples: Out[LATENT],
        vae: Out[VAE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Turn latents into pictures, one at a time; in tiles if memory does not suffice."""

    def VAEDecodeTiled(
        self,
        *,
        samples: Out[LATENT],
        vae: Out[VAE],
        tile_size: int | Out[INT] = ...,
        overlap: int | Out[INT] = ...,
        temporal_size: int | Out[INT] = ...,
        temporal_overlap: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Turn latents into pictures tile by tile, which takes less memory."""

    def VAEEncode(
        self,
        *,
        pixels: Out[IMAGE],
        vae: Out[VAE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Turn pictures into latents; the sides are cropped to multiples of 8."""

    def VAEEncodeForInpaint(
        self,
        *,
        pixels: Out[IMAGE],
        vae: Out[VAE],
        mask: Out[MASK],
        grow_mask_by: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Turn pictures into latents, the masked part grey, to be made anew from scratch."""

    def VAEEncodeTiled(
        self,
        *,
        pixels: Out[IMAGE],
        vae: Out[VAE],
        tile_size: int | Out[INT] = ...,
        overlap: int | Out[INT] = ...,
        temporal_size: int | Out[INT] = ...,
        temporal_overlap: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Turn pictures into latents tile by tile, which takes less memory."""

    def VAELoader(
        self,
        *,
        vae_name: Literal['pixel_space'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[VAE]:
        """Open a VAE: a file with nothing else in it, or a checkpoint's."""

    def VAESave(
        self,
        *,
        vae: Out[VAE],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write a VAE into a file of the output folder; see `CheckpointSave`."""

    def VPScheduler(
        self,
        *,
        steps: int | Out[INT] = ...,
        beta_d: float | Out[FLOAT] = ...,
        beta_min: float | Out[FLOAT] = ...,
        eps_s: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """The levels of a variance-preserving process at even times, down to the time `eps_s`."""

    def unCLIPCheckpointLoader(
        self,
        *,
        ckpt_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[CLIP], Out[VAE], Out[CLIP_VISION]]:
        """Open an unCLIP checkpoint, which holds the vision encoder that its model reads, too."""

    def unCLIPConditioning(
        self,
        *,
        conditioning: Out[CONDITIONING],
        clip_vision_output: Out[CLIP_VISION_OUTPUT],
        strength: float | Out[FLOAT] = ...,
        noise_augmentation: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Show the model a picture besides the prompt; several can be chained, and add up."""
