"""Media types by file name, the same on every machine."""

from __future__ import annotations

import re

__all__ = ["UNKNOWN", "inert_type", "media_type_of"]

#: The type of bytes of an unknown type (RFC 2046, section 4.5.1).
UNKNOWN = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"
# Run by browsers: HTML, all XML (whose namespaces allow scripts), and scripts, by all of their
# names (WHATWG, MIME Sniffing, 4.6).
_ACTIVE = re.compile(
    r"text/html|text/xsl|[^/]+/(?:[^/]*\+)?xml(?:-[^/]*)?|[^/]+/(?:x-)?(?:ecma|java|j|live)script[\d.]*"
)
# Types with parts of other types, and types that browsers ignore, so that they guess one.
_GUESSED = re.compile(r"(?:multipart|message|\*)/.*|(?:application|unknown)/unknown")

# Not `mimetypes`: it reads the types of the operating system, so that two machines would
# publish two indexes of the same files.
_BY_SUFFIX = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "bz2": "application/x-bzip2",
    "css": "text/css",
    "csv": "text/csv",
    "fgb": "application/vnd.flatgeobuf",
    "fits": "application/fits",
    "geojson": "application/geo+json",
    "gif": "image/gif",
    "gml": "application/gml+xml",
    "gpkg": "application/geopackage+sqlite3",
    "gpx": "application/gpx+xml",
    "grb": "application/wmo-GRIB2",
    "grib": "application/wmo-GRIB2",
    "grib2": "application/wmo-GRIB2",
    "gz": "application/gzip",
    "h5": "application/x-hdf5",
    "hdf5": "application/x-hdf5",
    "htm": "text/html",
    "html": "text/html",
    "ico": "image/vnd.microsoft.icon",
    "jp2": "image/jp2",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "kml": "application/vnd.google-earth.kml+xml",
    "kmz": "application/vnd.google-earth.kmz",
    "laz": "application/vnd.laszip",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "nc": "application/x-netcdf",
    "nc4": "application/x-netcdf",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "pmtiles": "application/vnd.pmtiles",
    "png": "image/png",
    "rst": "text/x-rst",
    "sqlite": "application/vnd.sqlite3",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "toml": "application/toml",
    "topojson": "application/topo+json",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
    "zst": "application/zstd",
}
# The JSON documents of a zarr store, version 2; those of version 3 are named zarr.json.
_BY_NAME = dict.fromkeys((".zarray", ".zattrs", ".zgroup", ".zmetadata"), "application/json")


def media_type_of(key: str) -> str | None:
    """Return the media type of a value by its key alone; None if it is unknown.

    Examples
    --------
    >>> media_type_of("terrain/DEM.tif"), media_type_of("chunks/0.0")
    ('image/tiff', None)
    """
    name = key.rpartition("/")[2].lower()
    return _BY_NAME.get(name) or _BY_SUFFIX.get(name.rpartition(".")[2] if "." in name else "")


def inert_type(media_type: str) -> str:
    """Return a media type under which browsers run nothing in a value.

    Parameters
    ----------
    media_type : str
        The type in its index: ``type/subtype``, perhaps with parameters.

    Examples
    --------
    >>> inert_type("Image/SVG+XML; charset=utf-8"), inert_type("image/png")
    ('text/plain; charset=utf-8', 'image/png')
    """
    essence = media_type.partition(";")[0].strip().lower()
    # A type after a comma would take precedence (WHATWG, Fetch, 2.2.2).
    if "," in media_type or _GUESSED.fullmatch(essence):
        return UNKNOWN
    return _TEXT if _ACTIVE.fullmatch(essence) else media_type
