"""Styles, scripts and pictures, served from memory: no thread per request, nothing outside this folder."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from litestar import Response, get
from litestar.params import FromPath

from cloud.errors import NotFoundError

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FILES: dict[str, bytes] = {
    file.relative_to(_FOLDER).as_posix(): file.read_bytes()
    for file in sorted(_FOLDER.rglob("*"))
    if file.suffix in _TYPES
}
_VERSIONS = {name: sha256(body).hexdigest()[:12] for name, body in _FILES.items()}


def link(name: str) -> str:
    """The address of a file, which changes with its content, so that it may be kept for ever."""
    return f"/static/{_VERSIONS[name]}/{name}"


@get("/static/{version:str}/{name:path}", include_in_schema=False)
async def static_file(version: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """A file. Raises NotFoundError."""
    key = str(name).lstrip("/")
    body = _FILES.get(key)
    if body is None:
        raise NotFoundError(f"there is no file {key}")
    keep = "public, max-age=31536000, immutable" if version == _VERSIONS[key] else "no-cache"
    return Response(body, media_type=_TYPES[key[key.rindex(".") :]], headers={"cache-control": keep})
