"""Routes that ComfyUI's web editor needs besides: its files, settings, user data."""
