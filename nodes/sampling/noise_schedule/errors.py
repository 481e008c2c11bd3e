"""Errors of sampling settings, and of seeds that do not match the latents."""

from nodegraph.errors import NodeGraphError


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
