"""The node that says in words where a camera stands, for models that were trained on such words."""

import math
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import Field

from nodegraph.definition.markers import Name, Optional, Step
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.values import Image

CameraInfo: TypeAlias = Annotated[dict[str, object], Socket("LOAD3D_CAMERA")]
"""A camera as nodes for scenes of three dimensions have it, in JSON."""

_SIDES = (
    "front view", "front-right quarter view", "right side view", "back-right quarter view",
    "back view", "back-left quarter view", "left side view", "front-left quarter view",
)  # fmt: skip
"""From the front to the right, an eighth of a turn each."""
_HEIGHTS = ((-15, "low-angle shot"), (15, "eye-level shot"), (45, "elevated shot"))
"""Each below an elevation in degrees."""
_HIGHEST = "high-angle shot"
_SHOTS = ((2.0, "wide shot"), (6.0, "medium shot"))
"""Each below a zoom."""
_CLOSEST = "close-up"
_DISTANCE, _VIEW = 6.0, 35.0
"""From the subject; the camera's vertical field of view in degrees."""
_FARTHEST_ZOOM, _CLOSEST_ZOOM, _MOST = 1.0, 1.875, 10.0


class CameraShot(NamedTuple):
    """A camera, and words for what it sees."""

    camera_info: Annotated[CameraInfo, Name("camera_info")]
    prompt: Annotated[str, Name("prompt")]


@node("CameraAngle", category="3d", display_name="Compose Camera Angle Prompt")
def camera_angle(
    horizontal_angle: Annotated[int, Field(ge=0, le=360), Step(1)] = 0,
    vertical_angle: Annotated[int, Field(ge=-30, le=60), Step(1)] = 0,
    zoom: Annotated[float, Field(ge=0.0, le=10.0), Step(0.1)] = 5.0,
    image: Annotated[Image | None, Optional()] = None,
) -> CameraShot:
    """Say where a camera stands around a subject: `front view eye-level shot medium shot`.

    `horizontal_angle` is in degrees from the front over the right side (90) and the back (180),
    `vertical_angle` in degrees above the subject. `zoom` goes from a wide shot (0) to a close-up
    (10). The image is only for looking at in the editor.
    """
    del image
    side = _SIDES[math.floor((horizontal_angle + 22.5) / 45) % len(_SIDES)]
    height = next((words for least, words in _HEIGHTS if vertical_angle < least), _HIGHEST)
    shot = next((words for least, words in _SHOTS if zoom < least), _CLOSEST)
    camera = _camera(math.radians(horizontal_angle), math.radians(vertical_angle), zoom)
    return CameraShot(camera, f"{side} {height} {shot}")


def _camera(around: float, above: float, zoom: float) -> dict[str, object]:
    """Return a camera that looks at the origin; y points up, and z to the front."""
    flat = _DISTANCE * math.cos(above)
    position = {
        "x": flat * math.sin(around),
        "y": _DISTANCE * math.sin(above),
        "z": flat * math.cos(around),
    }
    return {
        "position": position,
        "target": {"x": 0.0, "y": 0.0, "z": 0.0},
        "zoom": _FARTHEST_ZOOM + (_CLOSEST_ZOOM - _FARTHEST_ZOOM) * zoom / _MOST,
        "cameraType": "perspective",
        "fov": _VIEW,
    }
