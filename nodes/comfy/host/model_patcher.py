"""`comfy.model_patcher`: the classes that MODEL values have."""

from nodes.comfy.models import PackModel

ModelPatcher = PackModel
