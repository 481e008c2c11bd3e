"""Files whose tensors are brought to a device, read ahead in the order in which they are wanted."""

from collections import deque
from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor

from nodes.models.residency.staged_reads import StagedReads
from nodes.models.weights.reader import TensorFiles
from nodes.models.weights.stored_bytes import ByteRange, StoredPart, tensor_of
from nodes.models.weights.tensor_info import TensorInfo


class StagedFiles(TensorFiles):
    """See `TensorFiles`; to be used as a context.

    Args:
        wanted: the tensors in the order in which they are asked for. Those that others are asked
            for instead of, and those whose bytes are not by themselves, are read when asked for.
        device: that they go to.
    """

    def __init__(self, wanted: Iterable[StoredPart], device: torch.device) -> None:
        super().__init__(str(device))
        found = [(part, alone) for part in wanted if (alone := part.find()) is not None]
        self._coming = deque(found)
        ranges = [ByteRange(info.file, info.start, info.nbytes) for _, info in found]
        self._reads = StagedReads(ranges, device)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._reads)
        return self

    def tensor(self, info: TensorInfo, rows: slice | None = None) -> Tensor:
        """See `TensorFiles`.

        Raises:
            OSError: a file can not be read.
            TruncatedFileError: a file has become shorter since its header was read.
            WeightFileError: its file has tensors that overlap, or leave gaps.
        """
        if not self._coming or self._coming[0][0] != (info, rows):
            return super().tensor(info, rows)
        self._file(info.file)  # which checks it
        alone = self._coming.popleft()[1]
        return tensor_of(self._reads.take(), alone.dtype, alone.shape)
