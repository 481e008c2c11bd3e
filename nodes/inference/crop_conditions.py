"""Conditions of a whole image as a part of it reads them: what belongs to the part cut out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from nodes.imaging.resize import resize
from nodes.models.adapters.controlnet import NetControl
from nodes.models.networks.base.control_hint import ControlHint
from nodes.sampling.conditioning.cond import Area, Cond, Conditioning, Control

_SCALE = 8
"""Pixels of an image that areas, which are in latent pixels, count as one."""


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of an image, in pixels, and the image's size."""

    top: int
    left: int
    height: int
    width: int
    whole_height: int
    whole_width: int

    def cut(self, x: Tensor) -> Tensor:
        """Cut [..., height, width], of any size, as if it had the whole image's."""
        whole = resize(x.float(), self.whole_width, self.whole_height, "bilinear", "center")
        rows = slice(self.top, self.top + self.height)
        return whole[..., rows, self.left : self.left + self.width]


def crop_conditions(conditioning: Conditioning, part: Part) -> Conditioning:
    """Return the conditions that hold somewhere in a part, as they hold there.

    Of conditions with an area those that the part does not touch are left out, unless all are.
    """
    kept = tuple(_crop_each(conditioning, part))
    return Conditioning(
        kept or tuple(replace(c, area=None, relative_area=None) for c in conditioning.conds[:1])
    )


def _crop_each(conditioning: Conditioning, part: Part) -> Iterator[Cond]:
    for cond in conditioning.conds:
        area = cond.area
        if cond.relative_area:
            whole = part.whole_height // _SCALE, part.whole_width // _SCALE
            area = cond.relative_area.to_pixels(*whole)
        if area:
            area = _overlap(area, part)
            if area is None:
                continue
        mask = None if cond.mask is None else part.cut(cond.mask[:, None])[:, 0]
        controls = tuple(_crop_control(control, part) for control in cond.controls)
        yield replace(cond, area=area, relative_area=None, mask=mask, controls=controls)


def _overlap(area: Area, part: Part) -> Area | None:
    """Return the part of an area that lies in a part of the image, measured from its corner."""
    top, left, height, width = (
        side // _SCALE for side in (part.top, part.left, part.height, part.width)
    )
    first_y, first_x = max(area.y - top, 0), max(area.x - left, 0)
    last_y = min(area.y + area.height - top, height)
    last_x = min(area.x + area.width - left, width)
    if last_y <= first_y or last_x <= first_x:
        return None
    return Area(last_y - first_y, last_x - first_x, first_y, first_x)


def _crop_control(control: Control, part: Part) -> Control:
    if not isinstance(control, NetControl):
        return control
    hint = control.hint
    mask = None if hint.mask is None else part.cut(hint.mask)
    return replace(control, hint=ControlHint(part.cut(hint.picture), hint.vae, mask))
