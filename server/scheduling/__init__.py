"""The queue at work: fair turns, dispatch to workers, recording, retention."""
