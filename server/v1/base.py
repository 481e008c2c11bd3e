"""What all models of `/v1` have in common."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Is built when it is first used: the server answers sooner."""

    model_config = ConfigDict(defer_build=True)
