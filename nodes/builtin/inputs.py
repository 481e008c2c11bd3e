"""Types of node inputs that several node files share: their ranges, steps and widgets."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from nodegraph.definition.markers import Round, Step, Widget
from nodegraph.graph.sockets import Socket

Fraction = Annotated[float, Field(ge=0.0, le=1.0), Step(0.001)]
"""A place on the way from pure noise (0) to the finished image (1)."""
Ratio = Annotated[float, Field(ge=0.0, le=1.0), Step(0.01)]
"""A share, from none (0) to all (1)."""
Strength = Annotated[float, Field(ge=0.0, le=10.0), Step(0.01)]
"""A factor; 1 is the usual strength."""

Side = Annotated[int, Field(ge=1, le=16384), Step(1)]
"""The width or height of a image or mask in pixels."""
SideOrAuto = Annotated[int, Field(ge=0, le=16384), Step(1)]
"""A width or height in pixels; 0 stands for one that follows from the rest."""
Offset = Annotated[int, Field(ge=0, le=16384), Step(1)]
"""A distance from the upper left corner of a image or mask in pixels."""

LatentSide = Annotated[int, Field(ge=16, le=16384), Step(8)]
"""The width or height of a new latent, in pixels of the image."""
LatentAreaSide = Annotated[int, Field(ge=64, le=16384), Step(8)]
"""The width or height of a part of a latent, in pixels of the image."""
LatentOffset = Annotated[int, Field(ge=0, le=16384), Step(8)]
"""A distance from the upper left corner of a latent, in pixels of the image."""

BatchSize = Annotated[int, Field(ge=1, le=4096)]
BatchSizes = Annotated[list[int], Socket("INT"), Field(ge=1, le=4096), Widget(default=1)]
"""A batch size where a node takes lists as a whole."""

Seed = Annotated[int, Field(ge=0, le=2**64 - 1), Widget(control_after_generate=True)]
Steps = Annotated[int, Field(ge=1, le=10000)]
Cfg = Annotated[float, Field(ge=0.0, le=100.0), Step(0.1), Round(0.01)]

Text = Annotated[str, Widget(multiline=True)]
Prompt = Annotated[str, Widget(multiline=True, dynamicPrompts=True)]

Flip: TypeAlias = Literal["x-axis: vertically", "y-axis: horizontally"]
Rotation: TypeAlias = Literal["none", "90 degrees", "180 degrees", "270 degrees"]
