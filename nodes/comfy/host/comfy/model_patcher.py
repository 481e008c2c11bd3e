"""`comfy.model_patcher`: the classes of MODEL values."""

from nodes.comfy.values.models import PackModel

ModelPatcher = PackModel
