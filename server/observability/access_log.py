"""The access log: one record at debug level for each request, without its secrets."""

import logging

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

LOGGER = logging.getLogger("server.access")


class AccessLog(AbstractAccessLogger):
    """Logs method, path, status and time; the query, which may hold a token, is left out."""

    @property
    def enabled(self) -> bool:
        """True if debug records are logged; the name is aiohttp's."""
        return self.logger.isEnabledFor(logging.DEBUG)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the record of one request."""
        self.logger.debug(
            "%s %s %s: %d in %.1f ms",
            *(request.remote, request.method, request.rel_url.raw_path),
            *(response.status, time * 1000),
        )
