"""The order in which results leave a place: GreedyDual-Size (Cao and Irani, 1997)."""

import heapq


class Ranking:
    """Results of one place, by what they are worth there.

    The rank of a result is the ranking's age at its last use, plus the seconds that it took to
    compute for each byte. The lowest goes first, and its rank becomes the age: so what was dear
    long ago and is not used any more goes in the end, too.
    """

    def __init__(self) -> None:
        self.age = 0.0
        self._ranks: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._ranks)

    def __contains__(self, key: str) -> bool:
        return key in self._ranks

    def put(self, key: str, seconds: float, nbytes: int) -> None:
        """Add a result, or rank it anew because it was used.

        Args:
            key: of the result.
            seconds: that its computation took.
            nbytes: that it takes in this place, above 0.
        """
        rank = self._ranks[key] = self.age + seconds / nbytes
        heapq.heappush(self._heap, (rank, key))
        if len(self._heap) > 2 * len(self._ranks) + 1000:
            self._heap = [(rank, key) for key, rank in self._ranks.items()]
            heapq.heapify(self._heap)

    def discard(self, key: str) -> None:
        """Remove a result, if it is there."""
        self._ranks.pop(key, None)

    def pop(self) -> str | None:
        """Remove the result of the least worth and return its key; None if there is none."""
        while self._heap:
            rank, key = heapq.heappop(self._heap)
            if self._ranks.get(key) == rank:  # else a later use has replaced it
                del self._ranks[key]
                self.age = rank
                return key
        return None

    def clear(self) -> None:
        """Remove everything; the age stays."""
        self._ranks.clear()
        self._heap.clear()
