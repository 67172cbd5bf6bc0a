"""Downloads: https only, certificate verified, size and sha256 known beforehand, atomic.

Nothing is decided by the server: not the name of the file, not its length, not the protocol.
"""

import hashlib
import http.client
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from graphembed._storage import atomic_path
from graphembed._version import __version__
from graphembed.datasets._registry import RemoteFile
from graphembed.exceptions import DownloadError

_logger = logging.getLogger(__name__)
_CHUNK = 1 << 16
_TIMEOUT = 30.0  # seconds without a byte


class _HttpsRedirects(HTTPRedirectHandler):
    """Follow redirects, but never to an address that is not https."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Request | None:
        if not newurl.lower().startswith("https://"):
            fp.close()
            raise OSError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download_file(
    file: RemoteFile,
    target: Path,
    *,
    hint: str,
    timeout: float = _TIMEOUT,
    context: ssl.SSLContext | None = None,
) -> None:
    """Download `file` to `target`, all of it or nothing.

    Parameters
    ----------
    file : RemoteFile
        Address, size and sha256.
    target : Path
        Where to put it; missing folders are made. Replaced only by a complete and right file;
        several processes may do so at once.
    hint : str
        What the user can do if this fails, for the message.
    timeout : float, default=30
        Seconds without a byte after which the download fails.
    context : ssl.SSLContext, optional
        How certificates are verified; by default against the system's authorities.

    Raises
    ------
    DownloadError
        If anything goes wrong; the message names the address, the reason and the way by hand.
    """
    _logger.info("downloading %s (%d bytes) to %s", file.url, file.size, target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as temporary, temporary.open("wb") as sink:
            digest = hashlib.sha256()
            for chunk in _chunks(file, timeout, context):
                digest.update(chunk)
                sink.write(chunk)
            if digest.hexdigest() != file.sha256:
                raise OSError(f"its sha256 is {digest.hexdigest()}, expected {file.sha256}")
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise DownloadError(f"cannot download {file.url}: {error}; {hint}") from error


def _chunks(file: RemoteFile, timeout: float, context: ssl.SSLContext | None) -> Iterator[bytes]:
    """Yield the body; raise OSError as soon as it is longer or ends shorter than `file.size`."""
    request = Request(file.url, headers={"User-Agent": f"graphembed/{__version__}"})  # noqa: S310
    received = 0
    with _opener(context).open(request, timeout=timeout) as response:
        while chunk := response.read(min(_CHUNK, file.size + 1 - received)):
            received += len(chunk)
            if received > file.size:
                raise OSError(f"it is larger than the {file.size} bytes expected")
            yield chunk
    if received < file.size:
        raise OSError(f"it ended after {received} of {file.size} bytes")


def _opener(context: ssl.SSLContext | None) -> OpenerDirector:
    """Make an opener that speaks https and nothing else (no http, ftp, file or data)."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPSHandler(context=context or ssl.create_default_context()),
        _HttpsRedirects(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
