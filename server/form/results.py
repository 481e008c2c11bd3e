"""The right side of the page: the run's status, the images, and their settings."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from server.form.run_status import settings_table
from server.form.runs import ResultFile


class Results:
    """The components for the status and the results of runs."""

    def __init__(self) -> None:
        self.shown = gr.State([])
        """The files in the gallery, newest first."""
        self.status = gr.HTML()
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
        """All components that change."""
        drawn = [self._gallery, self._files, self._about, self._settings]
        return [self.shown, self.status, *drawn]

    def updates(self, shown: Sequence[ResultFile]) -> dict[Any, Any]:
        """Return the updates of the components when there are new files."""
        others = [str(made.path) for made in shown if not made.is_image]
        return {
            self.shown: shown,
            self._gallery: gr.update(value=_images(shown), selected_index=None),
            self._files: gr.update(value=others, visible=bool(others)),
            self._about: gr.update(visible=True),
            self._settings: settings_table(shown[0].settings, shown[0].workflow),
        }

    def _select(self, shown: Sequence[ResultFile], event: gr.SelectData) -> str:
        """Return the settings of the image that was clicked."""
        number: int = event.index
        made = [made for made in shown if made.is_image][number]
        return settings_table(made.settings, made.workflow)


def _images(shown: Sequence[ResultFile]) -> list[str]:
    return [str(made.path) for made in shown if made.is_image]
