"""What can be wrong with the files of a model's layout, or with parts that are put together."""

from nodegraph.errors import NodeGraphError


class WrongPartError(NodeGraphError):
    """Parts of different families are to be saved in one file."""

    code = "wrong_part"

    def __init__(self, part: str, family: str) -> None:
        super().__init__(
            f"the text encoder {part} has no place in a checkpoint of the family {family}.",
            hint="Save it in a file of its own with CLIPSave.",
        )


class UnsavableVaeError(NodeGraphError):
    """A VAE that is to be saved is of a kind that has no file of its own."""

    code = "unsavable_vae"

    def __init__(self) -> None:
        super().__init__(
            "this VAE can not be saved: TAESDs are pairs of files, and pixel_space has no weights.",
            hint="Use a full VAE.",
        )
