"""The access log: a record a request, at debug, without what may be secret in it."""

import logging

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

LOGGER = logging.getLogger("server.access")


class AccessLog(AbstractAccessLogger):
    """Method, path, status and time; the query, which may hold a token, is left out."""

    @property
    def enabled(self) -> bool:
        """Whether anybody reads it."""
        return self.logger.isEnabledFor(logging.DEBUG)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write one."""
        self.logger.debug(
            "%s %s %s: %d in %.1f ms",
            *(request.remote, request.method, request.rel_url.raw_path),
            *(response.status, time * 1000),
        )
