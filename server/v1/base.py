"""The base class of the models of `/v1`."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A model whose validator is built at its first use, so that the server starts sooner."""

    model_config = ConfigDict(defer_build=True)
