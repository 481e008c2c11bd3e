"""What can be wrong with a picture or a latent that a workflow loads; imports no torch."""

from nodegraph.errors import NodeGraphError


class LatentChannelsError(NodeGraphError):
    """A latent was made for a model of another family."""

    code = "latent_channels"

    def __init__(self, found: int, wanted: int) -> None:
        super().__init__(
            f"the latent has {found} channels, but the model takes {wanted}.",
            hint="Encode the picture with the VAE that belongs to the model.",
        )


class BadSettingError(NodeGraphError):
    """A setting has a value that makes no sense together with the others."""

    code = "bad_setting"

    def __init__(self, name: str, what: str, hint: str) -> None:
        super().__init__(f"{name} {what}.", hint=hint, input_name=name)


class SeedCountError(NodeGraphError):
    """Each image has a seed of its own, but there are more or fewer images."""

    code = "seed_count"

    def __init__(self, seeds: int, images: int) -> None:
        super().__init__(
            f"there are seeds for {seeds} images, but {images} latents.",
            hint="Give the empty latent the batch size that the batch has.",
        )
