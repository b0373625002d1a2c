"""The store: the working directory of one run, one Parquet file a tile, resumable.

``manifest.json`` holds the fingerprint of everything that determines what the tiles hold; opening a store with another
fingerprint is an error that says what differs. A tile's file appears under its name by rename, so that what is there is
whole and is not computed again. A tile some of which could not be read or segmented, and that was to be passed over,
has a record of its own kind beside which a whole one may appear later: the next run tries again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geoalps.errors import StoreError
from geoalps.grid import Tile, TileGrid
from geoalps.segments import Segments

FORMAT = 5
"""Raised when the files' layout changes; part of every fingerprint."""
ADAPTED, WHERE = "segmenter.json", "scene.json"
WHOLE, DAMAGED = ".parquet", ".damaged.parquet"
PAINTED = "painted"
"""Directory of what the objects look like, whatever their classes."""
UNREADABLE = (OSError, ValueError, KeyError, EOFError, BadZipFile)
"""What reading raises of a file derived from the tiles that is gone, cut short or damaged: it is made again."""
PARQUET = {"compression": "zstd", "use_dictionary": False, "write_statistics": False, "write_page_checksum": True}
"""How a tile's file is written: values repeat too little for a dictionary, and a disk may fail."""


@dataclass(frozen=True, eq=False)
class TileRecord:
    """What one tile's segmentation left behind."""

    segments: Segments
    """In the frame of the tile's window."""
    embeddings: NDArray[np.float32]
    """(n, channels) float32; float16 on disk."""
    colours: NDArray[np.uint8]
    """(n, 3) uint8: mean of red, green and blue as the segmenter saw them."""
    valid: NDArray[np.bool_]
    """(height, width) bool of the window: where the scene holds data."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: masks dropped by the gate or because they were empty; why it is not whole."""
    whole: bool = True
    """False where something could not be read or segmented: the next run tries again."""
    preview: bytes | None = None
    """JPEG of the core as the segmenter saw it, much reduced (:mod:`geoalps.io.report.preview`); None without one."""


@dataclass(frozen=True)
class Store:
    """A directory of tile records; see the module's docstring."""

    path: Path
    """The directory; absolute when made by :meth:`create` or :meth:`open`, since workers start in others."""
    fingerprint: Mapping[str, Any]
    """JSON: scene, grid, stretch, segmenter, encoder, gate."""

    @classmethod
    def create(cls, path: Path, fingerprint: Mapping[str, Any], overwrite: bool = False) -> Store:
        """Open the store at ``path``, making it when there is none.

        Raises:
            StoreError: there is one with another fingerprint, tiles in it, and ``overwrite`` is False; it names what
                differs. Or the directory cannot be written.
        """
        store = cls(path.absolute(), json.loads(json.dumps({"format": FORMAT, **fingerprint})))
        manifest, tiles = path / "manifest.json", path / "tiles"
        differs = store.differs_from(read_manifest(manifest)) if manifest.exists() else ["manifest.json is gone"]
        if differs and not overwrite and any(tiles.glob(f"*/*{WHOLE}")):
            raise StoreError(
                f"{path} was made with other options ({'; '.join(differs)}); "
                "use --overwrite to start over, or another output directory"
            )
        try:
            if differs:
                # the old manifest goes last: killed in between, this is still the old store, only emptier
                store.forget()
                remove(tiles)
                (path / ADAPTED).unlink(missing_ok=True)
                path.mkdir(parents=True, exist_ok=True)
                write_json(manifest, store.fingerprint)
            tiles.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise StoreError(f"cannot write to {path} ({error.strerror}); use -o for another directory") from error
        return store if differs else cls(store.path, read_manifest(manifest))

    @classmethod
    def open(cls, path: str | Path) -> Store:
        """The store at ``path``, as it was made.

        Raises:
            StoreError: there is none, or its manifest cannot be read.
        """
        path = Path(path)
        if not (path / "manifest.json").exists():
            raise StoreError(
                f"{path} is not a store (no manifest.json); make one with `geoalps segment SCENE -o {path}`"
            )
        found = read_manifest(path / "manifest.json")
        if found["format"] != FORMAT:
            raise StoreError(
                f"{path} is a store of format {found['format']}, this version reads {FORMAT}; segment the scene again"
            )
        return cls(path.absolute(), found)

    @property
    def digest(self) -> str:
        """Of the fingerprint: tells in a product which store it was made from."""
        return hashlib.sha256(json.dumps(self.fingerprint, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def grid(self) -> TileGrid:
        """The tile grid the store was made with."""
        grid = self.fingerprint["grid"]
        return TileGrid((grid["shape"][0], grid["shape"][1]), grid["size"], grid["margin"])

    def missing(self) -> Iterator[Tile]:
        """Tiles without a whole record, in row-major order; one row's names are held at a time."""
        grid = self.grid
        for row in range(grid.rows):
            there = {file.name for file in self._file(grid[row, 0]).parent.glob(f"*{WHOLE}")}
            yield from (tile for tile in (grid[row, col] for col in range(grid.cols)) if tile.name + WHOLE not in there)

    def begin(self) -> list[Tile]:
        """The tiles that are to be done, once what was derived from the others and a killed run's leavings are gone."""
        missing = list(self.missing())
        if missing:
            self.forget()
        self.tidy()
        return missing

    def tidy(self) -> None:
        """Delete what somebody was writing who was killed."""
        for left in self.path.rglob("*.part"):
            if left.is_file():
                left.unlink(missing_ok=True)

    def forget(self) -> None:
        """Delete all that was derived from the tiles: which segments are one object, and what was painted of them."""
        for derived in (*self.path.glob("*.npz"), *self.path.glob("*.npy")):
            remove(derived)
        remove(self.path / PAINTED)

    def write(self, tile: Tile, record: TileRecord) -> None:
        """Keep a tile's record; it appears under its name when it is whole.

        Raises:
            StoreError: the store was started over since, with other options: whose run was killed may still write.
        """
        segments, count = record.segments, len(record.segments)
        offsets = pa.array(segments.offsets * 3, pa.int64())
        runs = pa.LargeListArray.from_arrays(offsets, pa.array(segments.runs.ravel(), pa.int32()))
        channels = record.embeddings.shape[1] if record.embeddings.ndim == 2 else 0
        flat = pa.array(record.embeddings.astype(np.float16).ravel(), pa.float16())
        embeddings = pa.FixedSizeListArray.from_arrays(flat, max(channels, 1)) if channels else pa.nulls(count)
        colours = pa.FixedSizeListArray.from_arrays(pa.array(record.colours.ravel(), pa.uint8()), 3)
        scores = pa.array(segments.scores, pa.float32())
        table = pa.table({"score": scores, "runs": runs, "embedding": embeddings, "colour": colours})
        nodata = Segments.from_masks([~record.valid]).runs.ravel().tolist()
        content = {"shape": record.valid.shape, "nodata": nodata, "info": dict(record.info)}
        table = table.replace_schema_metadata({"geoalps": json.dumps(content)})
        file = self._file(tile, WHOLE if record.whole else DAMAGED)
        file.parent.mkdir(exist_ok=True)
        with appearing(file) as part:
            with pq.ParquetWriter(part, table.schema, **PARQUET) as writer:
                writer.write_table(table)
                if record.preview is not None:
                    # beside the schema, of which Parquet keeps a second copy
                    writer.add_key_value_metadata({"preview": base64.b64encode(record.preview).decode()})
            if _differences(read_manifest(self.path / "manifest.json"), self.fingerprint):
                raise StoreError(f"{self.path} was started over with other options; this run ends here")
        if record.whole:
            self._file(tile, DAMAGED).unlink(missing_ok=True)

    def read(self, tile: Tile) -> TileRecord:
        """A tile's record.

        Raises:
            StoreError: it is missing or cannot be read.
        """
        table = self._table(tile, None)
        segments = _segments(table)
        content = json.loads(table.schema.metadata[b"geoalps"])
        whole = self._there(tile).name == tile.name + WHOLE
        valid, preview = _valid(content), self.read_preview(tile)
        return TileRecord(segments, _embeddings(table), _colours(table), valid, content["info"], whole, preview)

    def read_segments(self, tile: Tile) -> Segments:
        """A tile's segments without their embeddings."""
        return _segments(self._table(tile, ["score", "runs"]))

    def read_embeddings(self, tile: Tile) -> NDArray[np.float32]:
        """(n, channels) float32: the embeddings of a tile's segments."""
        return _embeddings(self._table(tile, ["embedding"]))

    def read_colours(self, tile: Tile) -> NDArray[np.uint8]:
        """(n, 3) uint8: the mean colours of a tile's segments."""
        return _colours(self._table(tile, ["colour"]))

    def read_info(self, tile: Tile) -> Mapping[str, Any]:
        """The JSON values kept beside a tile's segments."""
        info: Mapping[str, Any] = self._content(tile)["info"]
        return info

    def read_valid(self, tile: Tile) -> NDArray[np.bool_]:
        """(height, width) bool of the tile's window: where the scene holds data."""
        return _valid(self._content(tile))

    def read_preview(self, tile: Tile) -> bytes | None:
        """JPEG of the tile's core, as in its record; None where there is none."""
        try:
            text = (pq.read_metadata(self._there(tile)).metadata or {}).get(b"preview")
            return None if text is None else base64.b64decode(text, validate=True)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self._unreadable(tile, error) from error

    def differs_from(self, found: Mapping[str, Any]) -> list[str]:
        """In what the fingerprint differs from that which was found in its place.

        A segmenter that is as the one there was adapted makes the same tiles: a class model gives it like that.
        """
        wanted = dict(self.fingerprint)
        if wanted["segmenter"] != found["segmenter"] and wanted["segmenter"] == self.adapted:
            wanted["segmenter"] = found["segmenter"]
        return _differences(found, wanted)

    @property
    def adapted(self) -> Mapping[str, Any] | None:
        """Identity of the segmenter after it looked at the scene; None until it has. StoreError when it is damaged."""
        file = self.path / ADAPTED
        try:
            return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
        except ValueError as error:
            raise StoreError(f"{file} cannot be read ({error}); delete it and segment the scene again") from error

    def keep_adapted(self, identity: Mapping[str, Any]) -> None:
        """Keep the adapted segmenter's identity beside the tiles."""
        write_json(self.path / ADAPTED, identity)

    @property
    def scene_path(self) -> str | None:
        """Where the scene was when it was segmented; None when that is not known, or it was no file."""
        try:
            path = json.loads((self.path / WHERE).read_text(encoding="utf-8"))["path"]
        except UNREADABLE:
            return None
        return path if isinstance(path, str) else None

    def keep_scene_path(self, path: str | None) -> None:
        """Keep where the scene is: no part of the fingerprint, since files move."""
        write_json(self.path / WHERE, {"path": path})

    def _content(self, tile: Tile) -> Any:
        try:
            return json.loads(pq.read_schema(self._there(tile)).metadata[b"geoalps"])
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self._unreadable(tile, error) from error

    def _file(self, tile: Tile, kind: str = WHOLE) -> Path:
        return self.path / "tiles" / f"r{tile.row:05d}" / (tile.name + kind)

    def _there(self, tile: Tile) -> Path:
        """The record there is: the whole one, or else the other."""
        whole, damaged = self._file(tile), self._file(tile, DAMAGED)
        return damaged if not whole.exists() and damaged.exists() else whole

    def _table(self, tile: Tile, columns: list[str] | None) -> Any:
        try:
            # as pq.read_table, which would bring pandas: a second
            with pq.ParquetFile(self._there(tile), page_checksum_verification=True) as file:
                return file.read(columns, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(tile, error) from error

    def _unreadable(self, tile: Tile, error: Exception) -> StoreError:
        if isinstance(error, FileNotFoundError):
            return StoreError(f"tile {tile.name} is missing from {self.path}; run `geoalps segment` again to make it")
        return StoreError(f"tile {tile.name} of {self.path} cannot be read ({error}); delete its file and run again")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that a person can read; the file appears under its name when it is whole."""
    with appearing(path) as part:
        part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Where to write a file that appears under its name when it is whole; an error leaves nothing behind."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")  # two workers may write one tile
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Delete a file, or a directory with all there is in it, when it is there; what stays must not pass for new."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_manifest(path: Path) -> dict[str, Any]:
    """A store's fingerprint, from its file.

    Raises:
        StoreError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); delete the store and run again") from error
    if not isinstance(content, dict):
        raise StoreError(f"{path} holds no JSON object; delete the store and run again")
    lost = [part for part in ("format", "scene", "grid", "segmenter") if part not in content]
    if lost:
        raise StoreError(f"{path} says nothing of {lost[0]}; delete the store and run again")
    return content


def _differences(found: Any, wanted: Any, name: str = "") -> list[str]:
    """``name: found, now wanted`` for every leaf in which two JSON values differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [*found, *(key for key in wanted if key not in found)]
        return [
            line for key in keys for line in _differences(found.get(key), wanted.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if found == wanted else [f"{name}: {_short(found)}, now {_short(wanted)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _valid(content: Any) -> NDArray[np.bool_]:
    valid = np.ones(content["shape"], bool)
    runs = np.array(content["nodata"], np.int32).reshape(-1, 3)
    pixels = Segments(runs, np.array([0, len(runs)]), np.ones(1, np.float32)).pixels(valid.shape[1])[1]
    valid.ravel()[pixels] = False
    return valid


def _segments(table: Any) -> Segments:
    runs = table.column("runs").combine_chunks()
    chunk = runs if isinstance(runs, pa.Array) else runs.chunk(0) if runs.num_chunks else None
    scores = np.array(table.column("score"), np.float32)
    if chunk is None or not len(chunk):
        return Segments.empty()
    offsets = np.asarray(chunk.offsets, np.int64) // 3
    return Segments(np.asarray(chunk.values, np.int32).reshape(-1, 3), offsets, scores)


def _embeddings(table: Any) -> NDArray[np.float32]:
    column = table.column("embedding")
    if not pa.types.is_fixed_size_list(column.type):
        return np.zeros((len(column), 0), np.float32)
    flat = np.asarray(pa.chunked_array(column).combine_chunks().flatten(), np.float32)
    return flat.reshape(-1, column.type.list_size)


def _colours(table: Any) -> NDArray[np.uint8]:
    """(n, 3) mean colours of a tile's table."""
    flat = np.asarray(table["colour"].combine_chunks().flatten(), np.uint8)
    return flat.reshape(-1, 3)
