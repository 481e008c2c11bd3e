"""Prompts of node types that only the small server of ComfyUI's dialect has."""

import json


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def steps(value=0, count=1, seconds=0.01, prefix="foreign"):
    """A prompt that takes `count * seconds` there, and saves a file with `value`."""
    return {
        "1": node("ForeignSteps", value=value, count=count, seconds=seconds),
        "2": node("ForeignFile", value=["1", 0], prefix=prefix),
    }


def shows(output, files=None):
    """A prompt that has that output there, and those files: `type|subfolder|name` and text."""
    return {"1": node("ForeignShow", output=json.dumps(output), files=json.dumps(files or {}))}


def inverts(image, prefix="inverted"):
    """A prompt that inverts an input picture there and saves it."""
    return {
        "1": node("ForeignInvert", image=image),
        "2": node("SaveImage", images=["1", 0], filename_prefix=prefix),
    }


def number(value):
    """A prompt of toys that both have."""
    return {"1": node("ToyNumber", value=value), "2": node("ToyShow", a=["1", 0])}


def blank(size=8, prefix="blank"):
    """A prompt of node types that ComfyUI itself and the built-in pack have."""
    return {
        "1": node("EmptyImage", width=size, height=size, batch_size=1, color=0),
        "2": node("SaveImage", images=["1", 0], filename_prefix=prefix),
    }
