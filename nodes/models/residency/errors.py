"""Networks that do not fit into their share of the device."""

from nodegraph.errors import NodeGraphError


class TooSmallShareError(NodeGraphError):
    """A network has less memory on the device than its largest layer needs."""

    code = "too_small_share"

    def __init__(self, what: str, share: int, least: int) -> None:
        mib = 1 << 20
        super().__init__(
            f"{what} may take {share / mib:.1f} MiB of the device's memory, and needs"
            f" {least / mib:.1f} MiB even with all other weights on the host.",
            hint="Raise memory_budget, or use a smaller or a quantized model.",
        )
        self.share = share
        self.least = least
