"""Video and sound: their values, and reading and writing files of them with PyAV (FFmpeg)."""
