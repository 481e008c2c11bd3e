"""`comfy.model_base`: the kinds of models."""

from nodes.comfy.values.inner_model import ModelType as ModelType
