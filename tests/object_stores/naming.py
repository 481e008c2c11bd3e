"""The names of a run's files, remembered in memory."""

from nodegraph.files.file_names import NumberedFile


class Names:
    """Remembers the names of a run's files, as the queue's store does."""

    def __init__(self):
        self.names = {}

    def next_file(self, slot):
        return _Claim(self.names, slot)


class _Claim:
    def __init__(self, names, slot):
        self._names, self._slot = names, slot

    def claim(self, place, first):
        before = self._names.get(self._slot)
        if before:
            return NumberedFile(before.path, before.number, again=True)
        return self._names.setdefault(self._slot, place.file(first))

    def release(self):
        del self._names[self._slot]
