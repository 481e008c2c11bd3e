"""ControlNet files: recognise them, read their configs, name their keys."""
