"""Sound and video as packs get them and give them back."""

import io
from typing import Any

import pytest
import torch

from nodes.media.values import Audio, VideoFile, VideoFrames
from tests.nodes.bench import Bench

PACK = """
from collections.abc import Mapping
from fractions import Fraction
from comfy_api.latest import InputImpl, Types


class Lazy(Mapping):
    def __init__(self, values): self.values_ = values
    def __getitem__(self, key): return self.values_[key]
    def __iter__(self): return iter(self.values_)
    def __len__(self): return len(self.values_)


class Louder:
    @classmethod
    def INPUT_TYPES(cls): return {"required": {"audio": ("AUDIO",)}}
    RETURN_TYPES = ("AUDIO",)
    FUNCTION = "run"
    CATEGORY = "toys"

    def run(self, audio):
        audio["waveform"] *= 2
        return (Lazy({"waveform": audio["waveform"][0], "sample_rate": audio["sample_rate"]}),)


class Backwards:
    @classmethod
    def INPUT_TYPES(cls): return {"required": {"video": ("VIDEO",)}}
    RETURN_TYPES = ("VIDEO", "STRING", "VIDEO")
    FUNCTION = "run"
    CATEGORY = "toys"

    def run(self, video):
        parts = video.get_components()
        facts = (video.get_dimensions(), parts.frame_rate, video.get_frame_count())
        turned = Types.VideoComponents(
            images=parts.images.flip(0), frame_rate=Fraction(24), audio=parts.audio
        )
        file = InputImpl.VideoFromFile(video.get_stream_source())
        return (InputImpl.VideoFromComponents(turned), repr(facts), file)


class Path:
    INPUT_TYPES = classmethod(lambda cls: {"required": {}})
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "run"
    CATEGORY = "toys"

    def run(self):
        return ("a path",)


NODE_CLASS_MAPPINGS = {"Louder": Louder, "Backwards": Backwards, "Path": Path}
"""


@pytest.fixture
def pack(import_pack):
    return import_pack(PACK)


def test_sound_is_a_dict_that_a_pack_may_change(pack, tmp_path):
    audio = Audio(torch.full((1, 2, 8), 0.25), 8000)

    louder: Any = pack["Louder"].function(audio=audio, context=Bench(tmp_path))

    assert isinstance(louder, Audio)
    assert louder.waveform.shape == (1, 2, 8)
    assert (louder.waveform.max(), audio.waveform.max()) == (0.5, 0.25)


def test_video_has_the_methods_of_a_video_input(pack, tmp_path):
    images = torch.linspace(0, 1, 4)[:, None, None, None].expand(-1, 16, 32, 3)
    sound = Audio(torch.zeros(1, 1, 800), 8000)

    returned: Any = pack["Backwards"].function(
        video=VideoFrames(images, 12.5, sound), context=Bench(tmp_path)
    )

    turned, facts, file = returned
    assert isinstance(turned, VideoFrames)
    assert torch.equal(turned.images, images.flip(0))
    assert turned.audio
    assert (turned.fps, turned.audio.sample_rate) == (24.0, 8000)
    assert facts == "((32, 16), Fraction(25, 2), 4)"
    assert isinstance(file, VideoFile)
    assert io.BytesIO(file.content()).read(8)[4:] == b"ftyp"


def test_what_a_pack_calls_a_video_stays_as_it_is(pack, tmp_path):
    assert pack["Path"].function(context=Bench(tmp_path)) == "a path"
