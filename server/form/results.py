"""The right side of the page: how it goes, the images, and how each was made."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from server.form.runs import Made
from server.form.standing import about


class Results:
    """What comes of it."""

    def __init__(self) -> None:
        self.shown = gr.State([])
        """What there is to look at, newest first."""
        self.standing = gr.HTML()
        self._gallery = gr.Gallery(
            label="Images",
            columns=2,
            height="auto",
            object_fit="contain",
            fit_columns=False,
            buttons=["download", "fullscreen"],
        )
        self._files = gr.Files(label="Files", visible=False, interactive=False)
        with gr.Accordion("Settings of the image", open=True, visible=False) as self._about:
            self._settings = gr.HTML()
        self._gallery.select(
            self._select,
            self.shown,
            self._settings,
            show_progress="hidden",
            api_visibility="private",
        )

    @property
    def all(self) -> list[Any]:
        """Everything that changes."""
        drawn = [self._gallery, self._files, self._about, self._settings]
        return [self.shown, self.standing, *drawn]

    def drawn(self, shown: Sequence[Made]) -> dict[Any, Any]:
        """What all of it is, once there is something."""
        others = [str(made.path) for made in shown if not made.is_image]
        return {
            self.shown: shown,
            self._gallery: gr.update(value=_images(shown), selected_index=None),
            self._files: gr.update(value=others, visible=bool(others)),
            self._about: gr.update(visible=True),
            self._settings: about(shown[0].settings, shown[0].workflow),
        }

    def _select(self, shown: Sequence[Made], event: gr.SelectData) -> str:
        """How the image was made that was clicked at."""
        number: int = event.index
        made = [made for made in shown if made.is_image][number]
        return about(made.settings, made.workflow)


def _images(shown: Sequence[Made]) -> list[str]:
    return [str(made.path) for made in shown if made.is_image]
