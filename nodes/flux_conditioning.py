"""What FLUX.1 is told besides the prompt."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph.define import node
from nodegraph.markers import Step
from nodes.values import Conditioning


@node("FluxGuidance", category="advanced/conditioning/flux")
def flux_guidance(
    conditioning: Conditioning,
    guidance: Annotated[float, Field(ge=0.0, le=100.0), Step(0.1)] = 3.5,
) -> Conditioning:
    """Say how closely FLUX.1 dev should follow the prompt; 3.5 where nobody says.

    It was trained to be told, so it needs no negative prompt, and cfg stays 1.
    """
    return _with(conditioning, "guidance", guidance)


@node("FluxDisableGuidance", category="advanced/conditioning/flux")
def flux_disable_guidance(conditioning: Conditioning) -> Conditioning:
    """Tell a model that knows guidance none at all."""
    return _with(conditioning, "guidance", None)


def _with(conditioning: Conditioning, name: str, value: object) -> Conditioning:
    """Every condition with one more of its extras."""
    conds = (replace(cond, extras={**cond.extras, name: value}) for cond in conditioning.conds)
    return Conditioning(tuple(conds))
