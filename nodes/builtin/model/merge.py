"""Nodes that merge models: weighted sums of their weights, as a whole or block by block."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Annotated, TypeAlias

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Step, Widget
from nodegraph.definition.node import NodeType, node
from nodes.builtin.inputs import Ratio
from nodes.builtin.model.errors import MergeMismatchError
from nodes.models.loading.handles import ClipHandle, ModelHandle
from nodes.models.loading.network import Network, Patches
from nodes.models.patches.merge import MergePatch, Share, common

_CATEGORY = "advanced/model_merging"
Multiplier = Annotated[float, Field(ge=-10.0, le=10.0), Step(0.01)]
Block = Annotated[Ratio, Widget(default=1.0)]
Shares: TypeAlias = Callable[[str], tuple[float, float]]
"""The share of each model in a weight, by the weight's name in the original layout."""
_ALL = (1.0, 0.0)


@node("ModelMergeSimple", category=_CATEGORY)
def model_merge_simple(
    model1: ModelHandle, model2: ModelHandle, ctx: Context, ratio: Ratio = 1.0
) -> ModelHandle:
    """Merge two models: `ratio` of the first, the rest of the second."""
    return _merge(model1, model2, lambda _: (ratio, 1.0 - ratio), ctx)


@node("ModelMergeAdd", category=_CATEGORY)
def model_merge_add(model1: ModelHandle, model2: ModelHandle, ctx: Context) -> ModelHandle:
    """Add a model's weights to another's, usually the result of `ModelMergeSubtract`."""
    return _merge(model1, model2, lambda _: (1.0, 1.0), ctx)


@node("ModelMergeSubtract", category=_CATEGORY)
def model_merge_subtract(
    model1: ModelHandle, model2: ModelHandle, ctx: Context, multiplier: Multiplier = 1.0
) -> ModelHandle:
    """Subtract the second model's weights from the first's, and multiply by `multiplier`."""
    return _merge(model1, model2, lambda _: (multiplier, -multiplier), ctx)


@node("CLIPMergeSimple", category=_CATEGORY)
def clip_merge_simple(
    clip1: ClipHandle, clip2: ClipHandle, ctx: Context, ratio: Ratio = 1.0
) -> ClipHandle:
    """Merge the text encoders of two models: `ratio` of the first, the rest of the second."""
    return _merge_clip(clip1, clip2, (ratio, 1.0 - ratio), ctx)


@node("CLIPMergeAdd", category=_CATEGORY)
def clip_merge_add(clip1: ClipHandle, clip2: ClipHandle, ctx: Context) -> ClipHandle:
    """Add text encoders' weights to others', usually the result of `CLIPMergeSubtract`."""
    return _merge_clip(clip1, clip2, (1.0, 1.0), ctx)


@node("CLIPMergeSubtract", category=_CATEGORY)
def clip_merge_subtract(
    clip1: ClipHandle, clip2: ClipHandle, ctx: Context, multiplier: Multiplier = 1.0
) -> ClipHandle:
    """Subtract the second text encoders' weights from the first's, times `multiplier`."""
    return _merge_clip(clip1, clip2, (multiplier, -multiplier), ctx)


@node("ModelMergeBlocks", category=_CATEGORY)
def model_merge_blocks(
    model1: ModelHandle,
    model2: ModelHandle,
    ctx: Context,
    input: Ratio = 1.0,
    middle: Ratio = 1.0,
    out: Ratio = 1.0,
) -> ModelHandle:
    """Merge two models by the parts of their U-Nets: 1 is all of the first, 0 of the second.

    Layers that belong to no part, such as the time embedding, use `input`.
    """
    ratios = {"input": input, "middle": middle, "out": out}
    return _merge(model1, model2, by_name(ratios), ctx)


def _block_name(name: str, number: int, end: str = ".") -> tuple[str, ...]:
    return tuple(f"{name}.{index}{end}" for index in range(number))


def _u_net(blocks: int, end: str) -> tuple[str, ...]:
    sides = (("input_blocks", blocks), ("middle_block", 3), ("output_blocks", blocks))
    inner = (name for side, number in sides for name in _block_name(side, number, end))
    return ("time_embed.", "label_emb.", *inner, "out.")


def _sd3(blocks: int) -> tuple[str, ...]:
    before = ("pos_embed.", "x_embedder.", "context_embedder.", "y_embedder.", "t_embedder.")
    return (*before, *_block_name("joint_blocks", blocks), "final_layer.")


_FLUX = (
    *("img_in.", "time_in.", "guidance_in", "vector_in.", "txt_in."),
    *_block_name("double_blocks", 19),
    *_block_name("single_blocks", 38),
    "final_layer.",
)


def _by_block(name: str, blocks: tuple[str, ...]) -> NodeType[..., ModelHandle]:
    """Make a node that merges models block by block, with a ratio for each."""

    @node(name, category=f"{_CATEGORY}/model_specific", keywords=blocks)
    def merge(
        model1: ModelHandle, model2: ModelHandle, ctx: Context, **ratios: Block
    ) -> ModelHandle:
        """Mix two models block by block: 1 is all of the first, 0 all of the second.

        What belongs to no block that is named goes by the first ratio.
        """
        return _merge(model1, model2, by_name({key: ratios.get(key, 1.0) for key in blocks}), ctx)

    return merge


sd1 = _by_block("ModelMergeSD1", _u_net(12, "."))
sd2 = _by_block("ModelMergeSD2", _u_net(12, "."))
sdxl = _by_block("ModelMergeSDXL", _u_net(9, ""))
sd3_2b = _by_block("ModelMergeSD3_2B", _sd3(24))
sd35_large = _by_block("ModelMergeSD35_Large", _sd3(38))
flux1 = _by_block("ModelMergeFlux1", _FLUX)


def by_name(ratios: Mapping[str, float]) -> Shares:
    """Return the ratio of the longest prefix in `ratios` that a name has, or else the first one."""
    otherwise = next(iter(ratios.values()))

    def shares(name: str) -> tuple[float, float]:
        start = max((key for key in ratios if name.startswith(key)), key=len, default=None)
        ratio = otherwise if start is None else ratios[start]
        return ratio, 1.0 - ratio

    return shares


def _merge(model1: ModelHandle, model2: ModelHandle, shares: Shares, ctx: Context) -> ModelHandle:
    network, other = model1.model.network, model2.model.network
    patch = _patch(network, other, model2.patches, shares, ctx)
    return model1.with_patch(patch) if patch.shares else model1


def _merge_clip(
    clip1: ClipHandle, clip2: ClipHandle, share: tuple[float, float], ctx: Context
) -> ClipHandle:
    others = {encoder.name: encoder.network for encoder in clip2.text.encoders}
    found = clip1
    for encoder in clip1.text.encoders:
        other = others.get(encoder.name)
        if other is None:
            raise MergeMismatchError(encoder.network.header.path, clip2.text.origin)
        patches = clip2.by_encoder.get(encoder.name, ())
        patch = _patch(encoder.network, other, patches, lambda _: share, ctx)
        found = found.with_patch(encoder.name, patch) if patch.shares else found
    return found


def _patch(
    network: Network, other: Network, patches: Patches, shares: Shares, ctx: Context
) -> MergePatch:
    """Return the patch; raises `MergeMismatchError` if the networks have nothing in common."""
    both = common(network, other)
    if not both:
        raise MergeMismatchError(network.header.path, other.header.path)
    left = sorted(network.table.keys() - both)
    if left:
        names = ", ".join(left[:3]) + (", …" if len(left) > 3 else "")
        ctx.notice(
            f"These weights have another shape in the other model and are not merged: {names}."
        )
    keys: defaultdict[tuple[float, float], set[str]] = defaultdict(set)
    for key in both:
        name = network.table[key].key.removeprefix(network.spec.prefix)
        keys[shares(name)].add(key)
    keys.pop(_ALL, None)
    found = (Share(frozenset(group), *share) for share, group in keys.items())
    return MergePatch(other, patches, tuple(sorted(found, key=lambda one: (one.own, one.other))))
