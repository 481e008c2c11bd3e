"""`comfy.model_patcher`: the classes of MODEL values."""

from nodes.comfy.models import PackModel

ModelPatcher = PackModel
