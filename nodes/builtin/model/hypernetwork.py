"""The node that applies a hypernetwork to a model."""

from typing import Annotated

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import ModelFile, Step
from nodegraph.definition.node import node
from nodes.models.loading.handles import ModelHandle
from nodes.models.networks.factory import skeleton
from nodes.models.networks.modifiers.hypernetwork import (
    Hypernetwork,
    HypernetworkFile,
    attention_widths,
)
from nodes.models.patches.errors import ModelMismatchError


@node("HypernetworkLoader", category="loaders", preflight="nodes.preflight.models:hypernetwork")
def hypernetwork_loader(
    model: ModelHandle,
    hypernetwork_name: Annotated[str, ModelFile("hypernetworks")],
    ctx: Context,
    strength: Annotated[float, Field(ge=-10.0, le=10.0), Step(0.01)] = 1.0,
) -> ModelHandle:
    """Apply a hypernetwork of AUTOMATIC1111's web UI to a U-Net; several can be chained.

    It changes what attention makes its keys and values of, at every step. At strength 0 nothing
    changes. The files (.pt) are pickles, which are read only if they are allowed.
    """
    if strength == 0:
        return model
    path = ctx.files.model("hypernetworks", hypernetwork_name)
    file = HypernetworkFile(path, ctx.files.identity(path))
    changed = model.with_alteration(Hypernetwork(file, strength))
    widths = set(file.layers.by_width)
    unused = widths - attention_widths(skeleton(model.model.network.spec))
    if unused == widths:
        raise ModelMismatchError(path, code="hypernetwork_mismatch")
    if unused:
        some = ", ".join(map(str, sorted(unused)))
        ctx.notice(f"Hypernetwork {path.name}: the model's attention has no width {some}.")
    return changed
