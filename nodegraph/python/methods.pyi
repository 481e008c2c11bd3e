"""What node methods take and give; made by `nodegraph stubs`, not to be edited."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from nodegraph.python.outputs import Out, Placed

class ARRAY: ...
class AUDIO: ...
class BASIC_PIPE: ...
class BOOLEAN: ...
class BOUNDING_BOX: ...
class BOUNDING_BOXES: ...
class CLIP: ...
class CLIP_VISION: ...
class CLIP_VISION_OUTPUT: ...
class COLOR: ...
class COLORS: ...
class CONDITIONING: ...
class CONTROL_NET: ...
class CURVE: ...
class DICT: ...
class FLOAT: ...
class GLIGEN: ...
class GUIDER: ...
class HISTOGRAM: ...
class IMAGE: ...
class IMAGECOMPARE: ...
class INT: ...
class IPADAPTER: ...
class LATENT: ...
class LATENT_OPERATION: ...
class LOAD3D_CAMERA: ...
class MASK: ...
class MODEL: ...
class MODEL_PATCH: ...
class NOISE: ...
class PHOTOMAKER: ...
class RESOLUTION_PREVIEW: ...
class SAMPLER: ...
class SIGMAS: ...
class STRING: ...
class STYLE_MODEL: ...
class UPSCALE_MODEL: ...
class VAE: ...
class VHS_FILENAMES: ...
class VHS_VIDEOINFO: ...
class VIDEO: ...

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
        """Reduce the part of the guidance that saturates colours (APG), so that cfg can be higher."""

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
        """Noise levels optimised for a model family at ten steps; other counts are interpolated."""

    def AudioAdjustVolume(
        self,
        *,
        audio: Out[AUDIO],
        volume: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[AUDIO]:
        """Make sounds louder or quieter by decibels: 6 doubles, -6 halves, 0 changes nothing."""

    def AudioConcat(
        self,
        *,
        audio1: Out[AUDIO],
        audio2: Out[AUDIO],
        direction: Literal['after', 'before'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[AUDIO]:
        """Join two sounds: `audio2` after or before `audio1`."""

    def AudioMerge(
        self,
        *,
        audio1: Out[AUDIO],
        audio2: Out[AUDIO],
        merge_method: Literal['add', 'mean', 'subtract', 'multiply'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[AUDIO]:
        """Lay `audio2` over `audio1`, cut or continued by silence to its length."""

    def BasicGuider(
        self,
        *,
        model: Out[MODEL],
        conditioning: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[GUIDER]:
        """Follow one prompt without guidance: for models that need none, such as FLUX."""

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
        """Make the noise levels of a named schedule, as KSampler uses them."""

    def BatchImagesNode(
        self,
        *,
        images: Sequence[Out[IMAGE]] | Mapping[str, Out[IMAGE]],
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[IMAGE]:
        """Join images or batches, up to 50 of them, in the order of the inputs."""

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
        """Take a model's noise levels at the quantiles of a beta distribution."""

    def BuildJsonPromptIdeogram(
        self,
        *,
        element: Out[ARRAY],
        high_level_description: str | Out[STRING] = ...,
        background: str | Out[STRING] = ...,
        style: Literal['none', 'photo', 'art_style'] | Mapping[str, object] = ...,
        aesthetics: str | Out[STRING] = ...,
        lighting: str | Out[STRING] = ...,
        medium: str | Out[STRING] = ...,
        color_palette: Out[COLORS] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[DICT]:
        """Build the JSON prompt of Ideogram 4 from texts and the elements of Create Bounding Boxe…"""

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
        """Guide with classifier-free guidance (`cfg`) from a negative to a positive prompt."""

    def CFGNorm(
        self,
        *,
        model: Out[MODEL],
        strength: float | Out[FLOAT] = ...,
        pre_cfg: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Bring the guided prediction to the length of the positive one, against burnt colours."""

    def CFGOverride(
        self,
        *,
        model: Out[MODEL],
        cfg: float | Out[FLOAT] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Use another guidance scale than the sampler's in a part of the schedule."""

    def CFGZeroStar(
        self,
        *,
        model: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Scale the negative prediction to fit the positive one best (CFG-Zero*), for flow models."""

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
        """Multiply the weights of the attention layers of CLIP's text encoders. T5 is not changed."""

    def CLIPLoader(
        self,
        *,
        clip_name: str | Out[Any],
        type: Literal['stable_diffusion', 'stable_cascade', 'sd3', 'stable_audio', 'mochi', 'ltxv', 'pixart', 'cosmos', 'lumina2', 'wan', 'hidream', 'chroma', 'ace', 'omnigen2', 'qwen_image', 'hunyuan_image', 'flux2', 'flux3', 'krea2', 'longcat_image'] | Out[Any],
        device: Literal['default', 'cpu'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Open a text encoder that a model reads alone."""

    def CLIPLoaderGGUF(
        self,
        *,
        clip_name: str | Out[Any],
        type: Literal['stable_diffusion', 'stable_cascade', 'sd3', 'stable_audio', 'mochi', 'ltxv', 'pixart', 'cosmos', 'lumina2', 'wan', 'hidream', 'chroma', 'ace', 'omnigen2', 'qwen_image', 'hunyuan_image', 'flux2', 'flux3', 'krea2', 'longcat_image'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Open a text encoder's file, GGUF or another; see `CLIPLoader`."""

    def CLIPMergeAdd(
        self,
        *,
        clip1: Out[CLIP],
        clip2: Out[CLIP],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Add text encoders' weights to others', usually the result of `CLIPMergeSubtract`."""

    def CLIPMergeSimple(
        self,
        *,
        clip1: Out[CLIP],
        clip2: Out[CLIP],
        ratio: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Merge the text encoders of two models: `ratio` of the first, the rest of the second."""

    def CLIPMergeSubtract(
        self,
        *,
        clip1: Out[CLIP],
        clip2: Out[CLIP],
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Subtract the second text encoders' weights from the first's, times `multiplier`."""

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
        """Use an earlier layer of the text encoder: -1 is the last, -2 is "clip skip 2"."""

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
        """Give the ControlNets of a conditioning their own prompt; the model keeps its own."""

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
        """Encode a prompt for FLUX.1: a text for CLIP-L, a text for T5, and the guidance."""

    def CLIPTextEncodeLumina2(
        self,
        *,
        system_prompt: Literal['superior', 'alignment'] | Out[Any],
        user_prompt: str | Out[STRING],
        clip: Out[CLIP],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Encode a prompt for Lumina 2, after one of the two texts that it was trained with."""

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
        """Encode a prompt for SDXL, with a text for each text encoder and SDXL's size conditionin…"""

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
        """Encode a prompt for SDXL's refiner, with an aesthetic score."""

    def CLIPVisionEncode(
        self,
        *,
        clip_vision: Out[CLIP_VISION],
        image: Out[IMAGE],
        crop: Literal['center', 'none'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP_VISION_OUTPUT]:
        """Encode images with a vision encoder, for nodes that condition a model on them."""

    def CLIPVisionLoader(
        self,
        *,
        clip_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP_VISION]:
        """Open a vision encoder: CLIP's (ViT-L, H or bigG) or SigLIP's."""

    def CameraAngle(
        self,
        *,
        horizontal_angle: int | Out[INT] = ...,
        vertical_angle: int | Out[INT] = ...,
        zoom: float | Out[FLOAT] = ...,
        image: Out[IMAGE] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[LOAD3D_CAMERA], Out[STRING]]:
        """Say where a camera stands around a subject: `front view eye-level shot medium shot`."""

    def Canny(
        self,
        *,
        image: Out[IMAGE],
        low_threshold: float | Out[FLOAT] = ...,
        high_threshold: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Draw the edges of images in white on black."""

    def CannyEdgePreprocessor(
        self,
        *,
        image: Out[IMAGE],
        low_threshold: int | Out[INT] = ...,
        high_threshold: int | Out[INT] = ...,
        resolution: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Draw the edges of images in white on black; the shorter side becomes `resolution` pixel…"""

    def CaseConverter(
        self,
        *,
        string: str | Out[STRING],
        mode: Literal['UPPERCASE', 'lowercase', 'Capitalize', 'Title Case'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Change the case of a text: upper, lower, capitalized, or title case."""

    def CheckpointLoader(
        self,
        *,
        config_name: str | Out[Any],
        ckpt_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[CLIP], Out[VAE]]:
        """Open a checkpoint with a configuration file in the original format."""

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

    def ColorMatch(
        self,
        *,
        image_ref: Out[IMAGE],
        image_target: Out[IMAGE],
        method: Literal['mkl', 'hm', 'reinhard', 'mvgd', 'hm-mvgd-hm', 'hm-mkl-hm'] | Out[Any] = ...,
        strength: float | Out[FLOAT] = ...,
        multithread: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Give the images of `image_target` the colours of `image_ref`."""

    def ColorToRGBInt(
        self,
        *,
        color: Out[COLOR] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[INT], Out[COLOR], Out[FLOAT]]:
        """Return a colour as the number red * 65536 + green * 256 + blue, and its opacity, 0 to 1."""

    def ComfyMathExpression(
        self,
        *,
        expression: str | Out[STRING] = ...,
        values: Sequence[float | int | bool | Out[FLOAT] | Out[INT] | Out[BOOLEAN]] | Mapping[str, float | int | bool | Out[FLOAT] | Out[INT] | Out[BOOLEAN]],
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> tuple[Out[FLOAT], Out[INT], Out[BOOLEAN]]:
        """Calculate a formula of numbers: `ceil(a / 8) * 8`, `a if a > b else b`, `sum(values)`."""

    def ComfyNumberConvert(
        self,
        *,
        value: int | float | str | bool | Out[INT] | Out[FLOAT] | Out[STRING] | Out[BOOLEAN],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[FLOAT], Out[INT]]:
        """Read a number, a text or true and false as a number, and as a whole number."""

    def ComfySwitchNode(
        self,
        *,
        switch: bool | Out[BOOLEAN],
        on_false: object = ...,
        on_true: object = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[Any]:
        """Pass on one of two values of the same type; the other is not computed."""

    def ConditioningAverage(
        self,
        *,
        conditioning_to: Out[CONDITIONING],
        conditioning_from: Out[CONDITIONING],
        conditioning_to_strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Interpolate two encoded prompts: 1 is all `conditioning_to`, 0 all `conditioning_from`."""

    def ConditioningCombine(
        self,
        *,
        conditioning_1: Out[CONDITIONING],
        conditioning_2: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Combine two conditionings: the model predicts for each, and the predictions are average…"""

    def ConditioningConcat(
        self,
        *,
        conditioning_to: Out[CONDITIONING],
        conditioning_from: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Append the tokens of `conditioning_from` to every prompt of `conditioning_to`."""

    def ConditioningLoader(
        self,
        *,
        conditioning_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Read an encoded prompt from the folder of embeddings."""

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
        """Limit a conditioning to a rectangle of the image; sizes and offsets are in pixels."""

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
        """Limit a conditioning to a rectangle given in fractions of the image: 0.5 is half of it."""

    def ConditioningSetAreaStrength(
        self,
        *,
        conditioning: Out[CONDITIONING],
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Set how much a conditioning counts where it overlaps with others; 0 is not at all."""

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
        """Limit a conditioning to a mask, which also weighs it; the mask may have any size."""

    def ConditioningSetTimestepRange(
        self,
        *,
        conditioning: Out[CONDITIONING],
        start: float | Out[FLOAT] = ...,
        end: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Limit a conditioning to a part of the denoising: 0 is pure noise, 1 the finished image."""

    def ConditioningZeroOut(
        self,
        *,
        conditioning: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Replace an encoded prompt by zeros of the same shape: a conditioning without content."""

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
        """Steer the model by an image while it follows this prompt."""

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
        """Steer the model by a control image (edges, depth, a pose); several can be chained and a…"""

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
        """Steer the model by a control image that is read as a latent; see Apply ControlNet."""

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
        """Fill the masked part of an image with an inpainting ControlNet, so that it fits the res…"""

    def ControlNetLoader(
        self,
        *,
        control_net_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONTROL_NET]:
        """Open a ControlNet, in the original layout or in diffusers'."""

    def ControlNetLoaderAdvanced(
        self,
        *,
        control_net_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONTROL_NET]:
        """Open a ControlNet; see `ControlNetLoader`. Keyframes of timesteps are not supported."""

    def ConvertArrayToString(
        self,
        *,
        array: Out[ARRAY],
        indent: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Write a list as JSON, indented by `indent` spaces a level; 0 writes it on one line."""

    def ConvertDictionaryToString(
        self,
        *,
        dictionary: Out[DICT],
        indent: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Write a dictionary as JSON, indented by `indent` spaces a level; 0 writes it on one lin…"""

    def CreateBoundingBoxes(
        self,
        *,
        background: Out[IMAGE] = ...,
        bboxes: str | Out[BOUNDING_BOX] | Out[ARRAY] | Out[STRING] = ...,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        editor_state: Sequence[object] | Out[BOUNDING_BOXES] = ...,
        last_incoming: Out[BOUNDING_BOXES] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[BOUNDING_BOX], Out[ARRAY]]:
        """Draw boxes on a canvas in the editor, each with a description, words to write, and colo…"""

    def CreateList(
        self,
        *,
        inputs: Sequence[object] | Mapping[str, object],
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[Any]:
        """Join values of one type to a list; the nodes that follow run once for each of them."""

    def CreateVideo(
        self,
        *,
        images: Out[IMAGE],
        fps: float | Out[FLOAT] = ...,
        audio: Out[AUDIO] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[VIDEO]:
        """Make a video of a batch of images, `fps` a second, and of sound if it is linked."""

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
        """Crop masks to a rectangle, smaller where the mask ends."""

    def CurveEditor(
        self,
        *,
        curve: Mapping[str, object] | Out[CURVE] = ...,
        histogram: Out[HISTOGRAM] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CURVE]:
        """Draw a curve in the editor, before a histogram if one is linked, and hand it on."""

    def CustomCombo(
        self,
        *,
        choice: str | Out[STRING],
        index: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[STRING], Out[INT]]:
        """Choose a word of a list of one's own, which is written in the editor."""

    def DiffControlNetLoader(
        self,
        *,
        model: Out[MODEL],
        control_net_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONTROL_NET]:
        """Open a ControlNet whose file holds only the difference to a model's weights."""

    def DifferentialDiffusion(
        self,
        *,
        model: Out[MODEL],
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Use grey values in a latent's mask as amounts of change: the darker, the less."""

    def DiffusersLoader(
        self,
        *,
        model_path: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[CLIP], Out[VAE]]:
        """Open a diffusers folder: the model, the text encoders and the VAE."""

    def DisableNoise(
        self,
        *,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[NOISE]:
        """Add no noise at the start: for latents that have some already."""

    def DrawBBoxes(
        self,
        *,
        bboxes: Out[BOUNDING_BOX],
        image: Out[IMAGE] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Draw boxes on images, with their labels and scores."""

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
        """Guide by two prompts: from the negative one to `cond2`, and from `cond2` to `cond1`."""

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

    def DualCLIPLoaderGGUF(
        self,
        *,
        clip_name1: str | Out[Any],
        clip_name2: str | Out[Any],
        type: Literal['sdxl', 'sd3', 'flux', 'hunyuan_video', 'hidream', 'hunyuan_image'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Open two text encoders' files, GGUF or others; see `DualCLIPLoader`."""

    def DualModelGuider(
        self,
        *,
        model: Out[MODEL],
        positive: Out[CONDITIONING],
        model_negative: Out[MODEL] = ...,
        negative: Out[CONDITIONING] = ...,
        cfg: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[GUIDER]:
        """Guide with classifier-free guidance, where the negative prediction is another model's."""

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
        """Skip the model in steps where its prediction would hardly change."""

    def EditBasicPipe(
        self,
        *,
        basic_pipe: Out[BASIC_PIPE],
        model: Out[MODEL] = ...,
        clip: Out[CLIP] = ...,
        vae: Out[VAE] = ...,
        positive: Out[CONDITIONING] = ...,
        negative: Out[CONDITIONING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[BASIC_PIPE]:
        """Replace those parts of a pipe that are linked."""

    def EmptyAudio(
        self,
        *,
        duration: float | Out[FLOAT] = ...,
        sample_rate: int | Out[INT] = ...,
        channels: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[AUDIO]:
        """Make silence of `duration` seconds: [1, channels, samples]."""

    def EmptyFlux2LatentImage(
        self,
        *,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Make an empty latent of 128 channels (FLUX.2): [batch_size, 128, height/16, width/16]."""

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
        """Make images of one colour, 0xRRGGBB: [batch_size, height, width, 3]."""

    def EmptyLatentImage(
        self,
        *,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Make an empty latent for text-to-image: zeros, [batch_size, 4, height/8, width/8]."""

    def EmptyQwenImageLayeredLatentImage(
        self,
        *,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        layers: int | Out[INT] = ...,
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Make an empty latent of layers: [batch_size, 16, layers + 1, height/8, width/8]."""

    def EmptySD3LatentImage(
        self,
        *,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Make an empty latent of 16 channels (SD3, FLUX): [batch_size, 16, height/8, width/8]."""

    def EndLoop(
        self,
        *,
        output_value: object = ...,
        next_iteration_value: object = ...,
        accumulate: bool | Out[BOOLEAN] = ...,
        terminations: Sequence[object] | Mapping[str, object] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[Any]:
        """End a loop: return `output_value` of the last iteration, or with `accumulate` of each."""

    def ExponentialScheduler(
        self,
        *,
        steps: int | Out[INT] = ...,
        sigma_max: float | Out[FLOAT] = ...,
        sigma_min: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Noise levels evenly spaced in the logarithm of sigma."""

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
        """Divide each step that begins between two noise levels into `steps` steps."""

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
        """Fade a mask out towards its sides, linearly over the given number of pixels."""

    def FlipSigmas(
        self,
        *,
        sigmas: Out[SIGMAS],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Reverse noise levels, from the image back to the noise; 0 becomes 0.0001."""

    def FloatConstant(
        self,
        *,
        value: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[FLOAT]:
        """Hold a number, for all inputs that it is linked to."""

    def Flux2Scheduler(
        self,
        *,
        steps: int | Out[INT] = ...,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Noise levels of FLUX.2, shifted by what its authors measured for a size and so many ste…"""

    def Flux3LayoutPrompt(
        self,
        *,
        prompt: str | Out[STRING],
        element: Out[ARRAY] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Add the elements of Create Bounding Boxes to a prompt, as the table that FLUX.3 reads."""

    def FluxDisableGuidance(
        self,
        *,
        conditioning: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Give the model no guidance value at all."""

    def FluxGuidance(
        self,
        *,
        conditioning: Out[CONDITIONING],
        guidance: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Set FLUX.1 dev's guidance: how closely it follows the prompt; 3.5 without this node."""

    def FluxKVCache(
        self,
        *,
        model: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Read reference images once a run, not at every step, as FLUX.2 klein 9B-KV was trained…"""

    def FluxKontextImageScale(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Scale an image to the training size of FLUX.1 Kontext that is nearest to its aspect rat…"""

    def FluxKontextMultiReferenceLatentMethod(
        self,
        *,
        conditioning: Out[CONDITIONING],
        reference_latents_method: Literal['offset', 'index', 'uxo/uno', 'index_timestep_zero'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Choose how a model places several reference images."""

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
        """Scale the guidance of coarse shapes (`scale_low`) and fine detail (`scale_high`)."""

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
        """Strengthen a U-Net's deep features (FreeU): better shapes at no cost in time."""

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
        """Strengthen a U-Net's deep features where the image has content; see FreeU."""

    def FromBasicPipe(
        self,
        *,
        basic_pipe: Out[BASIC_PIPE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[CLIP], Out[VAE], Out[CONDITIONING], Out[CONDITIONING]]:
        """Take the parts from a pipe."""

    def FromBasicPipe_v2(
        self,
        *,
        basic_pipe: Out[BASIC_PIPE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[BASIC_PIPE], Out[MODEL], Out[CLIP], Out[VAE], Out[CONDITIONING], Out[CONDITIONING]]:
        """Take the parts from a pipe, and hand the pipe on."""

    def GLIGENLoader(
        self,
        *,
        gligen_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[GLIGEN]:
        """Open a GLIGEN model, which lets a Stable Diffusion 1 model fill boxes by their own text…"""

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
        """Draw what a text describes in a rectangle; sizes and offsets are in pixels."""

    def GetImageSize(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[INT], Out[INT], Out[INT]]:
        """Return the width and height of images, and their number."""

    def GetImageSizeAndCount(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[INT], Out[INT], Out[INT]]:
        """Tell the width and height of images in pixels, and their number; hand the images on."""

    def GetItemFromList(
        self,
        *,
        list: object,
        index: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[Any]:
        """Take one value out of a list: 0 is the first, -1 the last."""

    def GetVideoComponents(
        self,
        *,
        video: Out[VIDEO],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[AUDIO], Out[FLOAT]]:
        """Take a video apart: its images, its sound if it has some, and its images a second."""

    def GrowMask(
        self,
        *,
        mask: Out[MASK],
        expand: int | Out[INT] = ...,
        tapered_corners: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Grow a mask by `expand` pixels, or shrink it if `expand` is negative."""

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
        """Change the guidance from step to step, as a share of the sampler's `cfg`."""

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
        """Limit a U-Net's attention to tiles, which makes large images faster (HyperTile)."""

    def HypernetworkLoader(
        self,
        *,
        model: Out[MODEL],
        hypernetwork_name: str | Out[Any],
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Apply a hypernetwork of AUTOMATIC1111's web UI to a U-Net; several can be chained."""

    def INTConstant(
        self,
        *,
        value: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[INT]:
        """Hold a whole number, for all inputs that it is linked to."""

    def IPAdapter(
        self,
        *,
        model: Out[MODEL],
        ipadapter: Out[IPADAPTER],
        image: Out[IMAGE],
        weight: float | Out[FLOAT] = ...,
        start_at: float | Out[FLOAT] = ...,
        end_at: float | Out[FLOAT] = ...,
        weight_type: Literal['standard', 'prompt is more important', 'style transfer'] | Out[Any],
        attn_mask: Out[MASK] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Prompt the model with images, by an IP-Adapter of `IPAdapterUnifiedLoader`."""

    def IPAdapterAdvanced(
        self,
        *,
        model: Out[MODEL],
        ipadapter: Out[IPADAPTER],
        image: Out[IMAGE],
        weight: float | Out[FLOAT] = ...,
        weight_type: Literal['linear', 'ease in', 'ease out', 'ease in-out', 'reverse in-out', 'weak input', 'weak output', 'weak middle', 'strong middle', 'style transfer', 'composition', 'strong style transfer', 'style transfer (SDXL)', 'composition (SDXL)', 'original'] | Out[Any],
        combine_embeds: Literal['concat', 'add', 'subtract', 'average', 'norm average'] | Out[Any],
        start_at: float | Out[FLOAT] = ...,
        end_at: float | Out[FLOAT] = ...,
        embeds_scaling: Literal['V only', 'K+V', 'K+V w/ C penalty', 'K+mean(V) w/ C penalty'] | Out[Any],
        image_negative: Out[IMAGE] = ...,
        attn_mask: Out[MASK] = ...,
        clip_vision: Out[CLIP_VISION] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Prompt the model with images besides the text; several can be chained and add up."""

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
        """Prompt the model with images besides the text; several can be chained and add up."""

    def IPAdapterLoader(
        self,
        *,
        ipadapter_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IPADAPTER]:
        """Open an IP-Adapter for Stable Diffusion 1.5 or SDXL: a plain, plus or full-face one."""

    def IPAdapterModelLoader(
        self,
        *,
        ipadapter_file: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IPADAPTER]:
        """Open an IP-Adapter; see `IPAdapterLoader`."""

    def IPAdapterUnifiedLoader(
        self,
        *,
        model: Out[MODEL],
        preset: Literal['LIGHT - SD1.5 only (low strength)', 'STANDARD (medium strength)', 'VIT-G (medium strength)', 'PLUS (high strength)', 'PLUS FACE (portraits)', 'FULL FACE - SD1.5 only (portraits stronger)'] | Out[Any],
        ipadapter: Out[IPADAPTER] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[IPADAPTER]]:
        """Open the IP-Adapter of a preset that is made for the model, and its vision encoder."""

    def ImageAddNoise(
        self,
        *,
        image: Out[IMAGE],
        seed: int | Out[INT] = ...,
        strength: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Add Gaussian noise with the standard deviation `strength`, drawn on the CPU from the se…"""

    def ImageBatch(
        self,
        *,
        image1: Out[IMAGE],
        image2: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Join two batches, `image1` first."""

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
        """Blend two images: a factor of 0 gives `image1`, 1 the full blend."""

    def ImageBlur(
        self,
        *,
        image: Out[IMAGE],
        blur_radius: int | Out[INT] = ...,
        sigma: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Blur images with a Gaussian over (2 * blur_radius + 1)² pixels."""

    def ImageColorToMask(
        self,
        *,
        image: Out[IMAGE],
        color: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Make a mask: 1 where a pixel, rounded to 8 bits, has exactly the colour 0xRRGGBB."""

    def ImageCompare(
        self,
        *,
        image_a: Out[IMAGE] = ...,
        image_b: Out[IMAGE] = ...,
        compare_view: Sequence[object] | Out[IMAGECOMPARE] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Show two images, one above the other, with a slider between them; neither is kept."""

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
        """Paste `source` onto `destination` with its corner at (x, y); what sticks out is cut off."""

    def ImageConcatMulti(
        self,
        *,
        inputcount: int | Out[INT] = ...,
        direction: Literal['right', 'down', 'left', 'up'] | Out[Any] = ...,
        match_image_size: bool | Out[BOOLEAN] = ...,
        image_1: Out[IMAGE],
        image_2: Out[IMAGE] = ...,
        image_3: Out[IMAGE] = ...,
        image_4: Out[IMAGE] = ...,
        image_5: Out[IMAGE] = ...,
        image_6: Out[IMAGE] = ...,
        image_7: Out[IMAGE] = ...,
        image_8: Out[IMAGE] = ...,
        image_9: Out[IMAGE] = ...,
        image_10: Out[IMAGE] = ...,
        image_11: Out[IMAGE] = ...,
        image_12: Out[IMAGE] = ...,
        image_13: Out[IMAGE] = ...,
        image_14: Out[IMAGE] = ...,
        image_15: Out[IMAGE] = ...,
        image_16: Out[IMAGE] = ...,
        image_17: Out[IMAGE] = ...,
        image_18: Out[IMAGE] = ...,
        image_19: Out[IMAGE] = ...,
        image_20: Out[IMAGE] = ...,
        image_21: Out[IMAGE] = ...,
        image_22: Out[IMAGE] = ...,
        image_23: Out[IMAGE] = ...,
        image_24: Out[IMAGE] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Put images side by side: each to the `direction` of those before it."""

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
        """Crop images to a rectangle, smaller where the image ends."""

    def ImageFlip(
        self,
        *,
        image: Out[IMAGE],
        flip_method: Literal['x-axis: vertically', 'y-axis: horizontally'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Mirror images: upside down (`x-axis`), or left to right (`y-axis`)."""

    def ImageFromBatch(
        self,
        *,
        image: Out[IMAGE],
        batch_index: int | Out[INT] = ...,
        length: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Take `length` images of a batch from number `batch_index` on, fewer where it ends."""

    def ImageHistogram(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[HISTOGRAM], Out[HISTOGRAM], Out[HISTOGRAM], Out[HISTOGRAM], Out[HISTOGRAM]]:
        """Count the pixels of each level, 0 to 255, in the first image of a batch."""

    def ImageInvert(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Invert images: 1 - value in every channel."""

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
        """Pad images with a grey margin, and make the mask for outpainting it."""

    def ImageQuantize(
        self,
        *,
        image: Out[IMAGE],
        colors: int | Out[INT] = ...,
        dither: Literal['none', 'floyd-steinberg', 'bayer-2', 'bayer-4', 'bayer-8', 'bayer-16'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Reduce each image to a palette of few colours, chosen by median cut."""

    def ImageRGBToYUV(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[IMAGE], Out[IMAGE]]:
        """Split images into brightness (Y) and colour: U is blue, V is red, both are 0.5 on grey."""

    def ImageResizeKJ(
        self,
        *,
        image: Out[IMAGE],
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        upscale_method: Literal['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] | Out[Any],
        keep_proportion: bool | Out[BOOLEAN] = ...,
        divisible_by: int | Out[INT] = ...,
        width_input: int | Out[INT] = ...,
        height_input: int | Out[INT] = ...,
        get_image_size: Out[IMAGE] = ...,
        crop: Literal['disabled', 'center', '0'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[INT], Out[INT]]:
        """Resize images, to the size of `get_image_size` if that is linked."""

    def ImageRotate(
        self,
        *,
        image: Out[IMAGE],
        rotation: Literal['none', '90 degrees', '180 degrees', '270 degrees'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Rotate images clockwise."""

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
        """Resize images to `width` by `height`."""

    def ImageScaleBy(
        self,
        *,
        image: Out[IMAGE],
        upscale_method: Literal['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] | Out[Any],
        scale_by: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Resize images by a factor; each side is rounded to whole pixels, at least one."""

    def ImageScaleToMaxDimension(
        self,
        *,
        image: Out[IMAGE],
        upscale_method: Literal['area', 'lanczos', 'bilinear', 'nearest-exact', 'bilinear', 'bicubic'] | Out[Any],
        largest_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Resize images so that the longer side has `largest_size` pixels; 0 changes nothing."""

    def ImageScaleToTotalPixels(
        self,
        *,
        image: Out[IMAGE],
        upscale_method: Literal['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] | Out[Any],
        megapixels: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Resize images to `megapixels` (1024 * 1024 pixels each) at the same aspect ratio."""

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
        """Sharpen images with an unsharp mask: add `10 * alpha` times the difference to their blu…"""

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
        """Join `image2` to `image1` on the side that `direction` names."""

    def ImageToMask(
        self,
        *,
        image: Out[IMAGE],
        channel: Literal['red', 'green', 'blue', 'alpha'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Take one channel of images as masks: [batch, height, width]."""

    def ImageUpscaleWithModel(
        self,
        *,
        upscale_model: Out[UPSCALE_MODEL],
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Upscale images by the model's own factor; an alpha channel is dropped."""

    def ImageYUVToRGB(
        self,
        *,
        Y: Out[IMAGE],
        U: Out[IMAGE],
        V: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Join brightness and colour planes to an RGB image: the inverse of ImageRGBToYUV."""

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
        """Give an inpainting model the image without its masked part, and the mask."""

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
        """Give the image to a model that edits it by instructions, or follows its edges or depth."""

    def InvertMask(
        self,
        *,
        mask: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Invert a mask: 1 - mask."""

    def JoinImageWithAlpha(
        self,
        *,
        image: Out[IMAGE],
        alpha: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Make images transparent where the mask is 1: [batch, height, width, 4]."""

    def JsonExtractString(
        self,
        *,
        json_string: str | Out[STRING],
        key: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Return the value of a key in the first JSON object of a text; what stands around is ign…"""

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
        """Add the seed's noise to a latent and remove it step by step, guided by the prompts."""

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
        """Denoise a latent over a part of a schedule, so that several samplers can share one."""

    def KSamplerSelect(
        self,
        *,
        sampler_name: Literal['euler', 'euler_cfg_pp', 'euler_ancestral', 'euler_ancestral_cfg_pp', 'heun', 'heunpp2', 'dpm_2', 'dpm_2_ancestral', 'lms', 'dpm_fast', 'dpm_adaptive', 'dpmpp_2s_ancestral', 'dpmpp_2s_ancestral_cfg_pp', 'dpmpp_sde', 'dpmpp_sde_gpu', 'dpmpp_2m', 'dpmpp_2m_cfg_pp', 'dpmpp_2m_sde', 'dpmpp_2m_sde_gpu', 'dpmpp_2m_sde_heun', 'dpmpp_2m_sde_heun_gpu', 'dpmpp_3m_sde', 'dpmpp_3m_sde_gpu', 'ddpm', 'lcm', 'ipndm', 'ipndm_v', 'deis', 'res_multistep', 'res_multistep_cfg_pp', 'res_multistep_ancestral', 'res_multistep_ancestral_cfg_pp', 'gradient_estimation', 'gradient_estimation_cfg_pp', 'er_sde', 'seeds_2', 'seeds_3', 'sa_solver', 'sa_solver_pece', 'ddim', 'uni_pc', 'uni_pc_bh2'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """Choose a sampler with its usual options."""

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
        """Noise levels evenly spaced in sigma^(1/`rho`): the higher `rho`, the more low levels."""

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
        """Noise levels of a flow model, shifted up the more, the larger the latent is."""

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
        """Noise levels concentrated around e^`mu` with the spread `beta`, down to `sigma_min`."""

    def LatentAdd(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Add two latents; `samples2` is scaled and repeated to the size and batch of `samples1`."""

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
        """Apply an operation to the guidance of every step; without effect at a cfg of 1."""

    def LatentBatch(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Join two batches, `samples1` first; its mask applies to all."""

    def LatentBatchSeedBehavior(
        self,
        *,
        samples: Out[LATENT],
        seed_behavior: Literal['random', 'fixed'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Choose the noise of a batch: each latent its own, or with `fixed` all that of the first."""

    def LatentBlend(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        blend_factor: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Blend two latents: 1 is all `samples1`, 0 all `samples2`, scaled to the first one's siz…"""

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
        """Paste `samples_from` onto `samples_to` with its corner at (x, y), in pixels, in steps o…"""

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
        """Paste `source` onto `destination` with its corner at (x, y), in pixels, in steps of 8."""

    def LatentConcat(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        dim: Literal['x', '-x', 'y', '-y', 't', '-t'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Join `samples2` to `samples1`: right (`x`), left (`-x`), below (`y`) or above (`-y`)."""

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
        """Crop latents to a rectangle, smaller where the latent ends; in pixels, in steps of 8."""

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

    def LatentCutToBatch(
        self,
        *,
        samples: Out[LATENT],
        dim: Literal['t', 'x', 'y'] | Out[Any],
        slice_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Cut latents into slices along their width (`x`), height (`y`) or frames (`t`), as a bat…"""

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
        """Take `length` latents of a batch from number `batch_index` on, fewer where it ends."""

    def LatentInterpolate(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        ratio: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Interpolate from `samples2` (0) to `samples1` (1), directions and lengths separately."""

    def LatentMultiply(
        self,
        *,
        samples: Out[LATENT],
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Multiply a latent by a number."""

    def LatentOperationSharpen(
        self,
        *,
        sharpen_radius: int | Out[INT] = ...,
        sigma: float | Out[FLOAT] = ...,
        alpha: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT_OPERATION]:
        """Sharpen a latent with an unsharp mask of strength `alpha`."""

    def LatentOperationTonemapReinhard(
        self,
        *,
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT_OPERATION]:
        """Shorten the longest vectors of a latent, against oversaturated colours at high guidance."""

    def LatentRotate(
        self,
        *,
        samples: Out[LATENT],
        rotation: Literal['none', '90 degrees', '180 degrees', '270 degrees'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Rotate latents clockwise."""

    def LatentSubtract(
        self,
        *,
        samples1: Out[LATENT],
        samples2: Out[LATENT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Subtract latents: `samples1` - `samples2`, the latter scaled and repeated to fit."""

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
        """Resize latents to a size given in pixels of the decoded image."""

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
        """Skip whole steps, guidance included, where the result would hardly change; see EasyCach…"""

    def LoadAudio(
        self,
        *,
        audio: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[AUDIO]:
        """Read the sound of a file of the input folder, of sound or video: [1, channels, samples]."""

    def LoadImage(
        self,
        *,
        image: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[MASK]]:
        """Read an image of the input folder, turned upright by its EXIF orientation."""

    def LoadImageMask(
        self,
        *,
        image: str | Out[Any],
        channel: Literal['alpha', 'red', 'green', 'blue'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Read one channel of an image file as a mask, [1, height, width]."""

    def LoadImageOutput(
        self,
        *,
        image: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[MASK]]:
        """Read an image of the output folder, such as `cat_00001_.png [output]`; see `LoadImage`."""

    def LoadLatent(
        self,
        *,
        latent: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Read a `.latent` file of the input folder."""

    def LoadVideo(
        self,
        *,
        file: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[VIDEO]:
        """Read a video of the input folder; at most 2 GiB. It is decoded where it is used."""

    def LoopIterations(
        self,
        *,
        mode: Literal['simple', 'For', 'List'] | Mapping[str, object] = ...,
        end: str | Out[STRING],
        output_value: object = ...,
        next_iteration_value: object = ...,
        accumulate: bool | Out[BOOLEAN] = ...,
        terminations: Sequence[object] | Mapping[str, object] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[Any]:
        """Compute the iterations of a loop; End Loop puts it in place of itself, nobody else does."""

    def LoopOutputs(
        self,
        *,
        values: Sequence[object] | Mapping[str, object] = ...,
        terminations: Sequence[object] | Mapping[str, object] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[Any]:
        """Return the values of a loop once all of it is computed; a part of End Loop."""

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
        """Apply a LoRA to a model and its text encoder; several can be chained."""

    def LoraLoaderModelOnly(
        self,
        *,
        model: Out[MODEL],
        lora_name: str | Out[Any],
        strength_model: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Apply a LoRA to a model only; the text encoder is not changed."""

    def LoraSave(
        self,
        *,
        filename_prefix: str | Out[STRING] = ...,
        rank: int | Out[INT] = ...,
        lora_type: Literal['standard', 'full_diff'] | Out[Any],
        bias_diff: bool | Out[BOOLEAN] = ...,
        model_diff: Out[MODEL] = ...,
        text_encoder_diff: Out[CLIP] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write a LoRA that turns one model into another, into a file of the output folder."""

    def LotusConditioning(
        self,
        *,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """The conditioning that Lotus models read: the empty prompt, as Stable Diffusion 2 encode…"""

    def ManualSigmas(
        self,
        *,
        sigmas: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Write down the noise levels: all numbers of a text, such as "1.0, 0.75, 0.5, 0"."""

    def MarigoldV2PostProcess(
        self,
        *,
        image: Out[IMAGE],
        prediction: Literal['depth', 'normals', 'albedo'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Make a decoded prediction of Marigold v2 visible."""

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
        """Combine `source` with `destination`, its corner at (x, y); what sticks out is cut off."""

    def MaskPreview(
        self,
        *,
        mask: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Show masks without keeping them: grey images in the temp folder, 1 is white."""

    def MaskToImage(
        self,
        *,
        mask: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Turn masks into grey images: 1 is white."""

    def ModelAttentionBackend(
        self,
        *,
        model: Out[MODEL],
        attention: Literal['pytorch attention', 'comfy kitchen attention'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Ask for a way to compute attention; the model stays as it is."""

    def ModelComputeDtype(
        self,
        *,
        model: Out[MODEL],
        dtype: Literal['default', 'fp32', 'fp16', 'bf16'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Choose the precision that a model computes in; `default` suits the model and the device."""

    def ModelMergeAdd(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Add a model's weights to another's, usually the result of `ModelMergeSubtract`."""

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
        """Merge two models by the parts of their U-Nets: 1 is all of the first, 0 of the second."""

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
        """Merge two models: `ratio` of the first, the rest of the second."""

    def ModelMergeSubtract(
        self,
        *,
        model1: Out[MODEL],
        model2: Out[MODEL],
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Subtract the second model's weights from the first's, and multiply by `multiplier`."""

    def ModelPatchLoader(
        self,
        *,
        name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL_PATCH]:
        """Open a model patch that is no LoRA: USO's projector, or a ControlNet."""

    def ModelSamplingAuraFlow(
        self,
        *,
        model: Out[MODEL],
        shift: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Shift a flow model's noise levels, for timesteps from 0 to 1; see ModelSamplingSD3."""

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
        """Set the noise levels of a model trained on a continuous range of them (EDM)."""

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
        """Set the noise levels of a model that predicts v and reads them as angles from 0 to 1."""

    def ModelSamplingDiscrete(
        self,
        *,
        model: Out[MODEL],
        sampling: Literal['eps', 'v_prediction', 'lcm', 'x0', 'img_to_img'] | Out[Any],
        zsnr: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Set what a model predicts, where its file does not say."""

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
        """Shift FLUX's noise levels by the size of the image."""

    def ModelSamplingSD3(
        self,
        *,
        model: Out[MODEL],
        shift: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Shift a flow model's noise levels up; larger images need more, 1 is no shift."""

    def ModelSave(
        self,
        *,
        model: Out[MODEL],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write the diffusion model into a file of the output folder; see `CheckpointSave`."""

    def Morphology(
        self,
        *,
        image: Out[IMAGE],
        operation: Literal['erode', 'dilate', 'open', 'close', 'gradient', 'bottom_hat', 'top_hat'] | Out[Any],
        kernel_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Apply flat morphology over a square (Serra 1982), each channel by itself."""

    def OptimalStepsScheduler(
        self,
        *,
        model_type: Literal['FLUX'] | Out[Any],
        steps: int | Out[INT] = ...,
        denoise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Noise levels found by search for FLUX.1-dev at ten steps; other counts are interpolated."""

    def Painter(
        self,
        *,
        image: Out[IMAGE] = ...,
        mask: str | Out[STRING] = ...,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        bg_color: Out[COLOR] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[MASK]]:
        """Paint on an image, or on a canvas of one colour, with a brush in the editor."""

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
        """Combine two pairs of positive and negative conditionings; see `Conditioning (Combine)`."""

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
        """Shrink a U-Net's features in the first steps (deep shrink), for coherent large images."""

    def PerpNeg(
        self,
        *,
        model: Out[MODEL],
        empty_conditioning: Out[CONDITIONING],
        neg_scale: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Guide with Perp-Neg in every sampler that uses this model; see PerpNegGuider."""

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
        """Guide with Perp-Neg: use only the part of the negative prompt perpendicular to the posi…"""

    def PerturbedAttentionGuidance(
        self,
        *,
        model: Out[MODEL],
        scale: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Guide away from the prediction with perturbed self-attention, for better structure (PAG…"""

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
        """Encode a prompt with the person that the images show."""

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
        """Noise levels along a polynomial of degree `rho` in log sigma; 1 is exponential."""

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
        """Composite `source` over `destination`, both with transparency, by a Porter-Duff mode."""

    def PrepImageForClipVision(
        self,
        *,
        image: Out[IMAGE],
        interpolation: Literal['LANCZOS', 'BICUBIC', 'HAMMING', 'BILINEAR', 'BOX', 'NEAREST'] | Out[Any],
        crop_position: Literal['top', 'bottom', 'left', 'right', 'center', 'pad'] | Out[Any],
        sharpening: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Cut squares out of images and scale them to 224 pixels, as vision encoders read them."""

    def PreviewAny(
        self,
        *,
        source: object,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Show any value as text."""

    def PreviewAudio(
        self,
        *,
        audio: Out[AUDIO],
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Play sounds without keeping them: they go to the temp folder as FLAC."""

    def PreviewImage(
        self,
        *,
        images: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Show images without keeping them: they go to the temp folder, lightly compressed."""

    def PrimitiveBoolean(
        self,
        *,
        value: bool | Out[BOOLEAN],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[BOOLEAN]:
        """Hold true or false, for all inputs that it is linked to."""

    def PrimitiveFloat(
        self,
        *,
        value: float | Out[FLOAT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[FLOAT]:
        """Hold a number, for all inputs that it is linked to."""

    def PrimitiveInt(
        self,
        *,
        value: int | Out[INT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[INT]:
        """Hold a whole number, for all inputs that it is linked to."""

    def PrimitiveString(
        self,
        *,
        value: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Hold a line of text, for all inputs that it is linked to."""

    def PrimitiveStringMultiline(
        self,
        *,
        value: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Hold a text of several lines, for all inputs that it is linked to."""

    def QuantizeModel(
        self,
        *,
        model: Out[MODEL],
        scheme: Literal['int8_weight_only', 'int8_dynamic', 'fp8_weight_only', 'int4_weight_only'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Quantize the matrices of a model's blocks to 8 or 4 bits, with torchao (extra `quant`)."""

    def QwenImage21Cache(
        self,
        *,
        model: Out[MODEL],
        device: Literal['auto', 'gpu', 'cpu', 'off'] | Out[Any] = ...,
        dtype: Literal['default', 'int8', 'int4'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Choose where Qwen-Image 2.1 keeps what it made of the prompt and of reference images."""

    def QwenImageDiffsynthControlnet(
        self,
        *,
        model: Out[MODEL],
        model_patch: Out[MODEL_PATCH],
        vae: Out[VAE],
        image: Out[IMAGE],
        strength: float | Out[FLOAT] = ...,
        mask: Out[MASK] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Steer Qwen-Image or Z-Image by a control image, with a ControlNet that is a model patch."""

    def RandomNoise(
        self,
        *,
        noise_seed: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[NOISE]:
        """Make the noise of a seed, for SamplerCustomAdvanced."""

    def RebatchImages(
        self,
        *,
        images: Out[IMAGE],
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Regroup images into batches of `batch_size`; the last one may be smaller."""

    def RebatchLatents(
        self,
        *,
        latents: Out[LATENT],
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Regroup latents into batches of `batch_size`."""

    def ReferenceLatent(
        self,
        *,
        conditioning: Out[CONDITIONING],
        latent: Out[LATENT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Add a reference image for an edit model such as FLUX.1 Kontext or FLUX.2."""

    def ReferenceMultiLatent(
        self,
        *,
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING] = ...,
        vae: Out[VAE] = ...,
        resolution: Literal['keep resolution', 'resize'] | Mapping[str, object] = ...,
        images: Sequence[Out[IMAGE]] | Mapping[str, Out[IMAGE]] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> tuple[Out[CONDITIONING], Out[CONDITIONING], Out[LATENT]]:
        """Add reference images for an edit model, each encoded by itself, in the order of the inp…"""

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
        """Extract what a pattern (Python's `re`) matches in a text; empty if it matches nowhere."""

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
        """Test if a pattern (Python's `re`) matches anywhere in a text."""

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
        """Replace the first `count` matches of a pattern (Python's `re`); 0 replaces all."""

    def RenormCFG(
        self,
        *,
        model: Out[MODEL],
        cfg_trunc: float | Out[FLOAT] = ...,
        renorm_cfg: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Guide Lumina 2 without burnt colours: by less, and only in a part of the schedule."""

    def RepeatImageBatch(
        self,
        *,
        image: Out[IMAGE],
        amount: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Repeat the whole batch `amount` times."""

    def RepeatLatentBatch(
        self,
        *,
        samples: Out[LATENT],
        amount: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Repeat the whole batch `amount` times: [batch * amount, channels, h, w]."""

    def RescaleCFG(
        self,
        *,
        model: Out[MODEL],
        multiplier: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Rescale the guided prediction to the positive one's contrast, against over-exposure."""

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
        """Scale images to fit into a size, and pad the two sides that stay empty."""

    def ResizeImageMaskNode(
        self,
        *,
        input: Out[IMAGE] | Out[MASK],
        resize_type: Literal['scale by multiplier', 'scale dimensions', 'scale longer dimension', 'scale shorter dimension', 'scale width', 'scale height', 'scale total pixels', 'match size', 'scale to multiple'] | Mapping[str, object] = ...,
        scale_method: Literal['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[Any]:
        """Resize an image or a mask: by a factor, to a width, a height or both, to a number of pi…"""

    def ResolutionSelector(
        self,
        *,
        aspect_ratio: Literal['1:1 (Square)', '2:3 (Portrait Photo)', '3:2 (Photo)', '3:4 (Portrait Standard)', '4:3 (Standard)', '9:16 (Portrait Widescreen)', '16:9 (Widescreen)', '21:9 (Ultrawide)'] | Out[Any] = ...,
        megapixels: float | Out[FLOAT] = ...,
        preview: Out[RESOLUTION_PREVIEW] = ...,
        multiple: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[INT], Out[INT]]:
        """Return the width and height of an image by its aspect ratio and size."""

    def SDTurboScheduler(
        self,
        *,
        model: Out[MODEL],
        steps: int | Out[INT] = ...,
        denoise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """The noise levels that SD-Turbo was distilled at; `denoise` below 1 leaves out the first."""

    def SafetyChecker(
        self,
        *,
        image: Out[IMAGE],
        checker_name: str | Out[Any],
        hide: Literal['black', 'blurred'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[BOOLEAN], Out[INT]]:
        """Hide images with sexual content, as found by Stable Diffusion's safety checker."""

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
        """Denoise a latent with a chosen sampler and noise levels."""

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
        """Denoise a latent with chosen noise, guidance, sampler and noise levels."""

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
        """Euler's method that adds noise at every step (ancestral)."""

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

    def SamplerLCM(
        self,
        *,
        s_noise: float | Out[FLOAT] = ...,
        s_noise_end: float | Out[FLOAT] = ...,
        noise_clip_std: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """LCM with a factor for the noise of each step, from `s_noise` first to `s_noise_end` las…"""

    def SamplerLCMUpscale(
        self,
        *,
        scale_ratio: float | Out[FLOAT] = ...,
        scale_steps: int | Out[INT] = ...,
        upscale_method: Literal['bislerp', 'nearest-exact', 'bilinear', 'area', 'bicubic'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SAMPLER]:
        """The LCM sampler with upscaling of the latent, evenly over the first steps."""

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
        """Return the noise level at a fraction of the model's schedule: 0 is pure noise, 1 the im…"""

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
        """Write a batch of images as one animated PNG that carries its workflow."""

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
        """Write a batch of images as one animated WebP that carries its workflow."""

    def SaveAudio(
        self,
        *,
        audio: Out[AUDIO],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write each sound of a batch to the output folder as a FLAC that carries its workflow."""

    def SaveAudioMP3(
        self,
        *,
        audio: Out[AUDIO],
        filename_prefix: str | Out[STRING] = ...,
        quality: Literal['V0', '128k', '320k'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write each sound of a batch to the output folder as an MP3."""

    def SaveAudioOpus(
        self,
        *,
        audio: Out[AUDIO],
        filename_prefix: str | Out[STRING] = ...,
        quality: Literal['64k', '96k', '128k', '192k', '320k'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write each sound of a batch to the output folder as an Opus file."""

    def SaveImage(
        self,
        *,
        images: Out[IMAGE],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Write each image to the output folder as a PNG that carries its workflow."""

    def SaveImageAdvanced(
        self,
        *,
        images: Out[IMAGE],
        filename_prefix: str | Out[STRING] = ...,
        format: Literal['png', 'exr', 'avif'] | Mapping[str, object] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[IMAGE]:
        """Write images to the output folder as PNG, OpenEXR or AVIF files that carry their workfl…"""

    def SaveLatent(
        self,
        *,
        samples: Out[LATENT],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write latents to the output folder, for `LoadLatent` to read: a `.latent` file."""

    def SaveVideo(
        self,
        *,
        video: Out[VIDEO],
        filename_prefix: str | Out[STRING] = ...,
        format: Literal['auto', 'mp4'] | Out[Any] = ...,
        codec: Literal['auto', 'h264'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write a video to the output folder as MP4 (H.264, AAC) that carries its workflow."""

    def SaveWEBM(
        self,
        *,
        images: Out[IMAGE],
        filename_prefix: str | Out[STRING] = ...,
        codec: Literal['vp9', 'av1'] | Out[Any],
        fps: float | Out[FLOAT] = ...,
        crf: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write a batch of images as a WebM video that carries its workflow."""

    def SeedNode(
        self,
        *,
        seed: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[INT]:
        """Hold a seed, for all inputs that it is linked to."""

    def SelfAttentionGuidance(
        self,
        *,
        model: Out[MODEL],
        scale: float | Out[FLOAT] = ...,
        blur_sigma: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Guide away from a prediction that is blurred where the model looks most (SAG)."""

    def SetFirstSigma(
        self,
        *,
        sigmas: Out[SIGMAS],
        sigma: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[SIGMAS]:
        """Replace the first noise level."""

    def SetLatentNoiseMask(
        self,
        *,
        samples: Out[LATENT],
        mask: Out[MASK],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Set the mask of a latent: only where it is 1 is sampled, the rest is kept. Any size fit…"""

    def SetUnionControlNetType(
        self,
        *,
        control_net: Out[CONTROL_NET],
        type: Literal['auto', 'openpose', 'depth', 'hed/pidi/scribble/ted', 'canny/lineart/anime_lineart/mlsd', 'normal', 'segment', 'tile', 'repaint'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONTROL_NET]:
        """Choose the kind of control image for a union ControlNet, which knows several."""

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
        """Guide away from the prediction without some layers, for any transformer (SLG)."""

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
        """Skip some layers in the negative prediction: skip-layer guidance at no further cost."""

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
        """Guide away from the prediction without some layers, for better hands and bodies (SLG)."""

    def SolidMask(
        self,
        *,
        value: float | Out[FLOAT] = ...,
        width: int | Out[INT] = ...,
        height: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Make a mask of one value: [1, height, width]."""

    def SplitAudioChannels(
        self,
        *,
        audio: Out[AUDIO],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[AUDIO], Out[AUDIO]]:
        """Split stereo sounds into their left and right channel."""

    def SplitImageWithAlpha(
        self,
        *,
        image: Out[IMAGE],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[MASK]]:
        """Split images into colours and transparency: the mask is 1 where they are transparent."""

    def SplitSigmas(
        self,
        *,
        sigmas: Out[SIGMAS],
        step: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[SIGMAS], Out[SIGMAS]]:
        """Split a schedule after `step` steps, for two samplers."""

    def SplitSigmasDenoise(
        self,
        *,
        sigmas: Out[SIGMAS],
        denoise: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[SIGMAS], Out[SIGMAS]]:
        """Split a schedule so that the second part has the share `denoise` of the steps."""

    def StartLoop(
        self,
        *,
        parent_iteration: int | Out[INT] = ...,
        initial_iteration_value: object = ...,
        mode: Literal['simple', 'For', 'List'] | Mapping[str, object] = ...,
        cache_iterations: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> tuple[Out[INT], Out[BOOLEAN], Out[BOOLEAN], Out[Any], Out[Any]]:
        """Begin a loop: what is linked from here to End Loop is computed once for each iteration."""

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
        """Test if `string_a` starts with, ends with or equals `string_b`."""

    def StringConcatenate(
        self,
        *,
        string_a: str | Out[STRING],
        string_b: str | Out[STRING],
        delimiter: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Join `string_a`, the delimiter and `string_b`."""

    def StringConstant(
        self,
        *,
        string: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Hold a line of text, for all inputs that it is linked to."""

    def StringContains(
        self,
        *,
        string: str | Out[STRING],
        substring: str | Out[STRING],
        case_sensitive: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[BOOLEAN]:
        """Test if a text contains another."""

    def StringFormat(
        self,
        *,
        f_string: str | Out[STRING] = ...,
        values: Sequence[object] | Mapping[str, object],
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> Out[STRING]:
        """Fill the values a to z into a text, where it has {a} to {z}."""

    def StringLength(
        self,
        *,
        string: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[INT]:
        """Count the characters of a text."""

    def StringReplace(
        self,
        *,
        string: str | Out[STRING],
        find: str | Out[STRING],
        replace: str | Out[STRING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Replace all occurrences of a text; an empty `find` matches between all characters."""

    def StringSubstring(
        self,
        *,
        string: str | Out[STRING],
        start: int | Out[INT],
        end: int | Out[INT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Take the characters from `start`, counted from 0, up to but not including `end`."""

    def StringTrim(
        self,
        *,
        string: str | Out[STRING],
        mode: Literal['Both', 'Left', 'Right'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STRING]:
        """Remove spaces and line ends from the ends of a text."""

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
        """Append an image to the prompt as tokens; several can be chained."""

    def StyleModelLoader(
        self,
        *,
        style_model_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[STYLE_MODEL]:
        """Open a style model: FLUX.1 Redux, which turns images into prompt tokens."""

    def T5TokenizerOptions(
        self,
        *,
        clip: Out[CLIP],
        min_padding: int | Out[INT] = ...,
        min_length: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Set how T5's prompts are padded: by at least `min_padding` tokens, to `min_length` toke…"""

    def TCFG(
        self,
        *,
        model: Out[MODEL],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Keep only the part of the negative prediction that agrees with the positive one (TCFG)."""

    def TextEncodeQwenImage21(
        self,
        *,
        clip: Out[CLIP],
        prompt: str | Out[STRING] = ...,
        negative_prompt: str | Out[STRING] = ...,
        vae: Out[VAE] = ...,
        resolution: int | Out[INT] = ...,
        images: Sequence[Out[IMAGE]] | Mapping[str, Out[IMAGE]] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> tuple[Out[CONDITIONING], Out[CONDITIONING], Out[LATENT]]:
        """Encode a prompt and a negative prompt for Qwen-Image 2.1, with up to 16 reference image…"""

    def TextEncodeQwenImageEdit(
        self,
        *,
        clip: Out[CLIP],
        prompt: str | Out[STRING],
        vae: Out[VAE] = ...,
        image: Out[IMAGE] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Encode an instruction to edit an image, for Qwen-Image-Edit."""

    def TextEncodeQwenImageEditPlus(
        self,
        *,
        clip: Out[CLIP],
        prompt: str | Out[STRING],
        vae: Out[VAE] = ...,
        image1: Out[IMAGE] = ...,
        image2: Out[IMAGE] = ...,
        image3: Out[IMAGE] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CONDITIONING]:
        """Encode an instruction that takes up to three images, for Qwen-Image-Edit 2509 and 2511."""

    def TextGenerate(
        self,
        *,
        clip: Out[CLIP],
        prompt: str | Out[STRING] = ...,
        max_length: int | Out[INT] = ...,
        sampling_mode: Literal['on', 'off'] | Mapping[str, object] = ...,
        image: Out[IMAGE] = ...,
        video: Out[IMAGE] = ...,
        audio: Out[AUDIO] = ...,
        thinking: bool | Out[BOOLEAN] = ...,
        use_default_template: bool | Out[BOOLEAN] = ...,
        mtp: Literal['auto', 'off', '2', '3', '4', '5', 'tree2s1', 'tree2s2', 'tree3s1', 'tree4s1m8'] | Out[Any] = ...,
        system_prompt: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
        **more: object,
    ) -> tuple[Out[STRING], Out[STRING]]:
        """Let the language model of a CLIP write a text: rewrite a prompt, or describe images."""

    def ThresholdMask(
        self,
        *,
        mask: Out[MASK],
        value: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MASK]:
        """Threshold a mask: 1 where it is above `value`, 0 elsewhere."""

    def ToBasicPipe(
        self,
        *,
        model: Out[MODEL],
        clip: Out[CLIP],
        vae: Out[VAE],
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[BASIC_PIPE]:
        """Put a model, its text encoder, its VAE and two prompts on one link."""

    def TomePatchModel(
        self,
        *,
        model: Out[MODEL],
        ratio: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Merge similar tokens before a U-Net's attention (ToMe): faster, with some loss of detai…"""

    def TorchCompileModel(
        self,
        *,
        model: Out[MODEL],
        backend: Literal['inductor', 'cudagraphs'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Compile the network at its first use, which takes a while, so that every step is faster."""

    def TrimAudioDuration(
        self,
        *,
        audio: Out[AUDIO],
        start_index: float | Out[FLOAT] = ...,
        duration: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[AUDIO]:
        """Cut a part out of sounds: `duration` seconds from `start_index` on, fewer where they en…"""

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

    def TripleCLIPLoaderGGUF(
        self,
        *,
        clip_name1: str | Out[Any],
        clip_name2: str | Out[Any],
        clip_name3: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[CLIP]:
        """Open SD3's three text encoders' files, GGUF or others; see `TripleCLIPLoader`."""

    def UNETLoader(
        self,
        *,
        unet_name: str | Out[Any],
        weight_dtype: Literal['default', 'fp8_e4m3fn', 'fp8_e4m3fn_fast', 'fp8_e5m2'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Open a diffusion model's file, which may hold nothing else."""

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
        """Multiply the weights of a U-Net's cross-attention layers, which read the text."""

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
        """Multiply the weights of a U-Net's self-attention layers; transformers are not changed."""

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
        """Multiply the output of a U-Net's attentions, within frames and between frames."""

    def USOStyleReference(
        self,
        *,
        model: Out[MODEL],
        model_patch: Out[MODEL_PATCH],
        clip_vision_output: Out[CLIP_VISION_OUTPUT],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Follow the style of an image, with USO's projector and LoRA on FLUX.1 dev."""

    def UltimateSDUpscale(
        self,
        *,
        image: Out[IMAGE],
        model: Out[MODEL],
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        vae: Out[VAE],
        upscale_by: float | Out[FLOAT] = ...,
        seed: int | Out[INT] = ...,
        steps: int | Out[INT] = ...,
        cfg: float | Out[FLOAT] = ...,
        sampler_name: Literal['euler', 'euler_cfg_pp', 'euler_ancestral', 'euler_ancestral_cfg_pp', 'heun', 'heunpp2', 'dpm_2', 'dpm_2_ancestral', 'lms', 'dpm_fast', 'dpm_adaptive', 'dpmpp_2s_ancestral', 'dpmpp_2s_ancestral_cfg_pp', 'dpmpp_sde', 'dpmpp_sde_gpu', 'dpmpp_2m', 'dpmpp_2m_cfg_pp', 'dpmpp_2m_sde', 'dpmpp_2m_sde_gpu', 'dpmpp_2m_sde_heun', 'dpmpp_2m_sde_heun_gpu', 'dpmpp_3m_sde', 'dpmpp_3m_sde_gpu', 'ddpm', 'lcm', 'ipndm', 'ipndm_v', 'deis', 'res_multistep', 'res_multistep_cfg_pp', 'res_multistep_ancestral', 'res_multistep_ancestral_cfg_pp', 'gradient_estimation', 'gradient_estimation_cfg_pp', 'er_sde', 'seeds_2', 'seeds_3', 'sa_solver', 'sa_solver_pece', 'ddim', 'uni_pc', 'uni_pc_bh2'] | Out[Any],
        scheduler: Literal['simple', 'sgm_uniform', 'karras', 'exponential', 'ddim_uniform', 'beta', 'normal', 'linear_quadratic', 'kl_optimal'] | Out[Any],
        denoise: float | Out[FLOAT] = ...,
        upscale_model: Out[UPSCALE_MODEL],
        mode_type: Literal['Linear', 'Chess', 'None'] | Out[Any],
        tile_width: int | Out[INT] = ...,
        tile_height: int | Out[INT] = ...,
        mask_blur: int | Out[INT] = ...,
        tile_padding: int | Out[INT] = ...,
        seam_fix_mode: Literal['None', 'Band Pass', 'Half Tile', 'Half Tile + Intersections'] | Out[Any],
        seam_fix_denoise: float | Out[FLOAT] = ...,
        seam_fix_width: int | Out[INT] = ...,
        seam_fix_mask_blur: int | Out[INT] = ...,
        seam_fix_padding: int | Out[INT] = ...,
        force_uniform_tiles: bool | Out[BOOLEAN] = ...,
        tiled_decode: bool | Out[BOOLEAN] = ...,
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Enlarge images with an upscale model, and draw them again tile by tile."""

    def UltimateSDUpscaleNoUpscale(
        self,
        *,
        upscaled_image: Out[IMAGE],
        model: Out[MODEL],
        positive: Out[CONDITIONING],
        negative: Out[CONDITIONING],
        vae: Out[VAE],
        seed: int | Out[INT] = ...,
        steps: int | Out[INT] = ...,
        cfg: float | Out[FLOAT] = ...,
        sampler_name: Literal['euler', 'euler_cfg_pp', 'euler_ancestral', 'euler_ancestral_cfg_pp', 'heun', 'heunpp2', 'dpm_2', 'dpm_2_ancestral', 'lms', 'dpm_fast', 'dpm_adaptive', 'dpmpp_2s_ancestral', 'dpmpp_2s_ancestral_cfg_pp', 'dpmpp_sde', 'dpmpp_sde_gpu', 'dpmpp_2m', 'dpmpp_2m_cfg_pp', 'dpmpp_2m_sde', 'dpmpp_2m_sde_gpu', 'dpmpp_2m_sde_heun', 'dpmpp_2m_sde_heun_gpu', 'dpmpp_3m_sde', 'dpmpp_3m_sde_gpu', 'ddpm', 'lcm', 'ipndm', 'ipndm_v', 'deis', 'res_multistep', 'res_multistep_cfg_pp', 'res_multistep_ancestral', 'res_multistep_ancestral_cfg_pp', 'gradient_estimation', 'gradient_estimation_cfg_pp', 'er_sde', 'seeds_2', 'seeds_3', 'sa_solver', 'sa_solver_pece', 'ddim', 'uni_pc', 'uni_pc_bh2'] | Out[Any],
        scheduler: Literal['simple', 'sgm_uniform', 'karras', 'exponential', 'ddim_uniform', 'beta', 'normal', 'linear_quadratic', 'kl_optimal'] | Out[Any],
        denoise: float | Out[FLOAT] = ...,
        mode_type: Literal['Linear', 'Chess', 'None'] | Out[Any],
        tile_width: int | Out[INT] = ...,
        tile_height: int | Out[INT] = ...,
        mask_blur: int | Out[INT] = ...,
        tile_padding: int | Out[INT] = ...,
        seam_fix_mode: Literal['None', 'Band Pass', 'Half Tile', 'Half Tile + Intersections'] | Out[Any],
        seam_fix_denoise: float | Out[FLOAT] = ...,
        seam_fix_width: int | Out[INT] = ...,
        seam_fix_mask_blur: int | Out[INT] = ...,
        seam_fix_padding: int | Out[INT] = ...,
        force_uniform_tiles: bool | Out[BOOLEAN] = ...,
        tiled_decode: bool | Out[BOOLEAN] = ...,
        batch_size: int | Out[INT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Draw images again tile by tile, as `UltimateSDUpscale` does after enlarging them."""

    def UnetLoaderGGUF(
        self,
        *,
        unet_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Open a diffusion model's file, GGUF or another; see `UNETLoader`."""

    def UpscaleModelLoader(
        self,
        *,
        model_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[UPSCALE_MODEL]:
        """Open an upscale model: ESRGAN, Real-ESRGAN, or one of Real-ESRGAN's compact models."""

    def VAEDecode(
        self,
        *,
        samples: Out[LATENT],
        vae: Out[VAE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[IMAGE]:
        """Decode latents to images, one at a time; in tiles if memory is short."""

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
        """Decode latents to images tile by tile, which takes less memory."""

    def VAEEncode(
        self,
        *,
        pixels: Out[IMAGE],
        vae: Out[VAE],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[LATENT]:
        """Encode images to latents; the sides are cropped to multiples of 8, or of the VAE's own…"""

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
        """Encode images to latents with the masked part grey, for inpainting from scratch."""

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
        """Encode images to latents tile by tile, which takes less memory."""

    def VAELoader(
        self,
        *,
        vae_name: Literal['pixel_space'] | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> Out[VAE]:
        """Open a VAE, from its own file or from a checkpoint."""

    def VAESave(
        self,
        *,
        vae: Out[VAE],
        filename_prefix: str | Out[STRING] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Placed:
        """Write a VAE into a file of the output folder; see `CheckpointSave`."""

    def VHS_LoadVideo(
        self,
        *,
        video: str | Out[Any],
        force_rate: float | Out[FLOAT] = ...,
        custom_width: int | Out[INT] = ...,
        custom_height: int | Out[INT] = ...,
        frame_load_cap: int | Out[INT] = ...,
        skip_first_frames: int | Out[INT] = ...,
        select_every_nth: int | Out[INT] = ...,
        force_size: Literal['Custom', 'Disabled', 'Custom Width', 'Custom Height', '256x?', '?x256', '256x256', '512x?', '?x512', '512x512'] | Out[Any] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[IMAGE], Out[INT], Out[AUDIO], Out[VHS_VIDEOINFO]]:
        """Read images and sound of a video of the input folder."""

    def VHS_VideoCombine(
        self,
        *,
        images: Out[IMAGE] | Out[LATENT],
        frame_rate: float | Out[FLOAT] = ...,
        loop_count: int | Out[INT] = ...,
        filename_prefix: str | Out[STRING] = ...,
        format: Literal['image/gif', 'image/webp', 'video/h264-mp4', 'video/h265-mp4', 'video/nvenc_h264-mp4', 'video/nvenc_hevc-mp4', 'video/webm', 'video/av1-webm'] | Out[Any],
        pingpong: bool | Out[BOOLEAN] = ...,
        save_output: bool | Out[BOOLEAN] = ...,
        audio: Out[AUDIO] = ...,
        vae: Out[VAE] = ...,
        pix_fmt: Literal['yuv420p', 'yuv420p10le'] | Out[Any] = ...,
        crf: int | Out[INT] = ...,
        save_metadata: bool | Out[BOOLEAN] = ...,
        trim_to_audio: bool | Out[BOOLEAN] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[VHS_FILENAMES]:
        """Write images as a video or an animation; latents, too, if the VAE is linked."""

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
        """Noise levels of a variance-preserving process at even times, down to the time `eps_s`."""

    def VideoLinearCFGGuidance(
        self,
        *,
        model: Out[MODEL],
        min_cfg: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Raise the guidance from frame to frame, from `min_cfg` to the sampler's cfg."""

    def VideoTriangleCFGGuidance(
        self,
        *,
        model: Out[MODEL],
        min_cfg: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Raise the guidance to the sampler's cfg in the middle frame, from `min_cfg` at both end…"""

    def ZImageFunControlnet(
        self,
        *,
        model: Out[MODEL],
        model_patch: Out[MODEL_PATCH],
        vae: Out[VAE],
        strength: float | Out[FLOAT] = ...,
        image: Out[IMAGE] = ...,
        inpaint_image: Out[IMAGE] = ...,
        mask: Out[MASK] = ...,
        start_percent: float | Out[FLOAT] = ...,
        end_percent: float | Out[FLOAT] = ...,
        id_: str = ...,
        title_: str = ...,
    ) -> Out[MODEL]:
        """Steer Z-Image by a control image, fill the masked part of an image, or both."""

    def unCLIPCheckpointLoader(
        self,
        *,
        ckpt_name: str | Out[Any],
        id_: str = ...,
        title_: str = ...,
    ) -> tuple[Out[MODEL], Out[CLIP], Out[VAE], Out[CLIP_VISION]]:
        """Open an unCLIP checkpoint: the model, text encoder, VAE and the vision encoder."""

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
        """Condition the model on an image besides the prompt; several can be chained and add up."""
