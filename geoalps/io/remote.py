"""Rasters on other machines: how GDAL is told to read them, tries again, and what the server says of a file.

GDAL reads them by byte ranges (``https://``, ``s3://``, ``/vsicurl/``, ``/vsis3/`` and their kin), a block at a time.
A setting of the user's, in the environment or in a ``rasterio.Env`` around, always goes before those of this module.

What stands beside a remote file is not looked for (``GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR``): a COG has its mask,
overviews and georeference inside. Whoever keeps a ``.msk``, ``.ovr``, ``.aux.xml`` or ``.tfw`` beside the file sets
that option to ``TRUE``.
"""

from __future__ import annotations

import http
import http.client
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias, TypeVar

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.env import get_gdal_config
from rasterio.errors import RasterioError

from geoalps.errors import OptionError, SceneError

Result = TypeVar("Result")
FileState: TypeAlias = dict[str, Any]
"""What changes when a file does, as JSON values: ``size`` in bytes, and ``mtime_ns`` or ``etag``."""

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
"""What rasterio raises; a property of a dataset lets GDAL's own errors through."""

SETTINGS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # 429, 500, 502, 503 and 504, and what fails before an answer begins. Not ALL: that would ask again after a 404.
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    # No limit for a whole request: a slow line is no fault, a silent one is.
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100",
    # Headers are shared by the handles of all threads; 16 MB do not hold that of a huge file.
    "CPL_VSIL_CURL_CACHE_SIZE": str(64 << 20),
    # Read bit by bit, an index of blocks that breaks off is taken for blocks that were never written: zeros, no error.
    "GTIFF_USE_DEFER_STRILE_LOADING": "NO",
}
"""GDAL's options for a remote raster. The retries and their delay, which doubles, are those of :class:`Access` too."""

ASKED_BY_GDAL_ALONE = (
    "GDAL_HTTP_AUTH",
    "GDAL_HTTP_BEARER",
    "GDAL_HTTP_CAPATH",
    "GDAL_HTTP_COOKIE",
    "GDAL_HTTP_COOKIEFILE",
    "GDAL_HTTP_HEADERS",
    "GDAL_HTTP_HEADER_FILE",
    "GDAL_HTTP_PROXY",
    "GDAL_HTTP_SSLCERT",
    "GDAL_HTTP_UNSAFESSL",
    "GDAL_HTTP_USERPWD",
)
"""With one of these, what another client hears from the server says nothing of what GDAL would."""

FRESH = {"CPL_VSIL_CURL_NON_CACHED": "/vsi"}
"""GDAL remembers for the life of a process that a file is missing, were it for one bad answer."""

PROBE = 16
"""Bytes asked for to see whether a server knows ranges."""
TIMEOUT = 30
"""Seconds to wait for the answer."""
AGAIN = (http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS)
"""Answers that say to ask again, besides those from 500 on."""

_REMOTE = re.compile(
    r"/vsi(?:curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)(?:_streaming)?[/?]|^(?:\w+\+)?(?:https?|ftp|s3|gs|az|oss)://"
)
_BROKEN_OFF = re.compile(r"read error|failed to read|IO error|response.code|HTTP|timed out|connect", re.IGNORECASE)
_FINAL = re.compile(r"response code: 4(?!08|29)\d\d|Range downloading not supported")


def is_remote(path: str) -> bool:
    """A name, or the text of a VRT, with which GDAL reads over a network."""
    return _REMOTE.search(path) is not None


def without_secrets(text: str) -> str:
    """A text whose URLs have lost user, password and query, where signatures and keys stand."""
    text = re.sub(r"(://)[^/@\s]*@", r"\1", text)
    return re.sub(r"(\w+://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)


def causes(error: BaseException) -> list[str]:
    """What GDAL said, the first line of each error, the innermost last; rasterio chains them."""
    found: list[str] = []
    link: BaseException | None = error
    while link is not None:
        found += (str(link).strip() or type(link).__name__).splitlines()[:1]
        link = link.__cause__
    return found


def broken_off(error: BaseException) -> str | None:
    """What tells that bytes did not arrive, as against bytes that are damaged; None for those."""
    told = [cause for cause in causes(error) if _BROKEN_OFF.search(cause)]
    return re.sub(r"^\w+:| at row \d+, col \d+", "", without_secrets(told[-1])) if told else None


@dataclass(frozen=True)
class Access:
    """How a raster is reached; on this machine, with nothing more to say."""

    settings: Mapping[str, str]
    """GDAL's options around everything that opens or reads it."""
    pauses: tuple[float, ...] = ()
    """Seconds before each further try."""
    url: str | None = None
    """What can be asked of the server directly, over HTTP."""
    remote: bool = False
    """Over a network."""

    @classmethod
    def to(cls, path: str) -> Access:
        """As remote rasters are reached; the user's settings are those of this moment.

        Raises:
            OptionError: the user's GDAL_HTTP_MAX_RETRY or GDAL_HTTP_RETRY_DELAY is no number.
        """
        if not is_remote(path):
            return cls({})
        settings = {name: value for name, value in SETTINGS.items() if get_gdal_config(name) is None}
        tries, delay = _number("GDAL_HTTP_MAX_RETRY"), _number("GDAL_HTTP_RETRY_DELAY")
        pauses = tuple(delay * 2**i for i in range(int(tries)))
        return cls(settings, pauses, _plain_url(path), remote=True)

    def env(self, fresh: bool = False) -> rasterio.Env:
        """The environment to open and read in; a ``fresh`` one forgets what GDAL holds of a file when it opens it."""
        return rasterio.Env(**self.settings, **(FRESH if fresh and self.remote else {}))

    def persist(self, attempt: Callable[[bool], Result], failures: tuple[type[Exception], ...] = GDAL_ERRORS) -> Result:
        """What an attempt gives, tried again after a pause when it fails and a further try might do better.

        GDAL asks again after a bad answer, not after an answer that breaks off in the middle.

        Args:
            attempt: hears whether it is one more try.
            failures: after which there is another try; the last one's goes to the caller.
        """
        for number, pause in enumerate(self.pauses):
            try:
                return attempt(number > 0)
            except failures as error:
                if any(_FINAL.search(cause) for cause in causes(error)):
                    raise
            time.sleep(pause)
        return attempt(bool(self.pauses))

    def ask(self) -> FileState | None:
        """What the server says of the file, from one request for a few bytes.

        Returns:
            ``size`` in bytes with ``etag``, or with ``mtime_ns`` where there is none; None when the server does not
            tell, wants more than a plain request, or cannot be asked over HTTP.

        Raises:
            SceneError: the server knows no ranges, or does not answer.
        """
        if self.url is None:
            return None
        url, shown = self.url, without_secrets(self.url)
        try:
            status, told = self.persist(lambda _: _probe(url), (OSError, http.client.HTTPException))
        except (OSError, http.client.HTTPException) as error:
            why = without_secrets(str(getattr(error, "reason", error))) or type(error).__name__
            raise SceneError(f"{shown} cannot be reached ({why}); check the address and the network") from error
        if status == http.HTTPStatus.OK:
            raise SceneError(
                f"{shown} is on a server that gives whole files only, asked for {PROBE} bytes; download it first, or "
                "put it on a server that answers range requests"
            )
        return _state(told) if status == http.HTTPStatus.PARTIAL_CONTENT else None


def _number(name: str) -> float:
    """An option of the user's, or else of ours, that counts something."""
    given = get_gdal_config(name)
    try:
        return max(0.0, float(SETTINGS[name] if given is None else given))
    except ValueError as error:
        raise OptionError(f"{name} is {given!r}; give a number") from error


def _plain_url(path: str) -> str | None:
    """The URL of a file that any HTTP client may ask for as GDAL would; None for all else."""
    url = path.removeprefix("/vsicurl/")
    if not re.match(r"https?://[^@/]+/", url) or any(get_gdal_config(name) is not None for name in ASKED_BY_GDAL_ALONE):
        return None
    return urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def _probe(url: str) -> tuple[int, Message]:
    """Status and headers of one answer; raises OSError or HTTPException where another try might do better."""
    request = urllib.request.Request(url, headers={"Range": f"bytes=0-{PROBE - 1}"})  # noqa: S310 - http(s) only
    try:
        with _opener().open(request, timeout=TIMEOUT) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or error.code in AGAIN:
            raise
        return error.code, error.headers
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            # GDAL may know other certificates.
            return 0, Message()
        raise


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https and nothing else, redirects included."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _state(told: Message) -> FileState | None:
    """From the headers of a part of the file; None when they do not tell one content from another."""
    size = told.get("Content-Range", "").rpartition("/")[2]
    etag, changed = told.get("ETag"), told.get("Last-Modified")
    if not size.isdigit() or not (etag or changed):
        return None
    if etag:
        return {"size": int(size), "mtime_ns": None, "etag": etag}
    try:
        return {"size": int(size), "mtime_ns": int(parsedate_to_datetime(str(changed)).timestamp()) * 10**9}
    except ValueError:
        return None
