"""Words for where a camera stands, and the camera itself."""

import pytest

from nodes.builtin.text.camera import camera_angle


@pytest.mark.parametrize(
    ("angles", "words"),
    [
        ((0, 0, 5.0), "front view eye-level shot medium shot"),
        ((22, -16, 0.0), "front view low-angle shot wide shot"),
        ((23, -15, 1.9), "front-right quarter view eye-level shot wide shot"),
        ((90, 15, 2.0), "right side view elevated shot medium shot"),
        ((180, 45, 6.0), "back view high-angle shot close-up"),
        ((333, 17, 5.0), "front-left quarter view elevated shot medium shot"),
        ((360, 60, 10.0), "front view high-angle shot close-up"),
    ],
)
def test_the_words_tell_side_height_and_distance(angles, words):
    assert camera_angle(*angles).prompt == words


def test_the_camera_looks_at_the_subject_from_six_units():
    camera = camera_angle(90, 30, 10.0).camera_info

    assert camera["position"] == pytest.approx({"x": 27**0.5, "y": 3.0, "z": 0.0}, abs=1e-9)
    assert camera["target"] == {"x": 0.0, "y": 0.0, "z": 0.0}
    assert (camera["zoom"], camera["fov"]) == (1.875, 35.0)
    assert camera_angle(0, 0, 0.0).camera_info["zoom"] == 1.0
