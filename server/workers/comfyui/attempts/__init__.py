"""One attempt at a run on a ComfyUI server: its prompt, its events, its files and its end."""
