"""The text inputs of networks, checked to be of their family."""

from torch import Tensor

from nodes.models.networks.base.errors import WrongConditioningError
from nodes.sampling.conditioning.cond import CondBatch


def text(cond: CondBatch, x: Tensor, width: int) -> Tensor:
    """Return the text's tokens, [batch, length, width], on the device and in the dtype of `x`.

    Raises:
        WrongConditioningError: a text encoder of another family made them.
    """
    what, found = "text", cond.tokens.shape[2]
    if found != width:
        raise WrongConditioningError(what, found, width)
    return cond.tokens.to(x)


def pooled_or_zeros(cond: CondBatch, x: Tensor, width: int) -> Tensor:
    """Return the pooled text, [batch, width], like `x`; zeros if there is none.

    Raises:
        WrongConditioningError: a text encoder of another family made it.
    """
    if cond.pooled is None:
        return x.new_zeros(len(x), width)
    what, found = "pooled text", cond.pooled.shape[1]
    if found != width:
        raise WrongConditioningError(what, found, width)
    return cond.pooled.to(x)
