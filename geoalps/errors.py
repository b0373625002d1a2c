"""Every exception and warning of geoalps.

One root to catch, and beside it the built-in that the caller would expect::

    GeoalpsError(Exception)
     ├── SceneError(OSError)          a raster that cannot be opened, read or placed on the map
     ├── OptionError(ValueError)      an option or argument outside of what is allowed
     ├── PluginError(TypeError)       a segmenter or encoder that does not keep its protocol
     ├── CheckpointError(ValueError)  a checkpoint that is missing, damaged or of another model
     ├── StoreError(ValueError)       a store made with other options, or with tiles missing
     ├── ProductError(OSError)        a product that exists already or cannot be written
     ├── TileError(RuntimeError)      tiles that failed while the others went on
     └── WorkerError(RuntimeError)    no Dask scheduler or workers, or they went away

    GeoalpsWarning(UserWarning)       something was decided for the user; the text says what

Messages are one line: what was given, what is allowed, what to do.
"""


class GeoalpsError(Exception):
    """Root of everything geoalps raises on purpose; its text is fit for a user to read."""


class SceneError(GeoalpsError, OSError):
    """A raster cannot be opened, read or placed on the map."""

    window: object = None
    """The :class:`geoalps.grid.Window` that cannot be read, where reading failed."""


class OptionError(GeoalpsError, ValueError):
    """An option or argument lies outside of what is allowed."""

    most: int | None = None
    """The largest number that is, where a number was too large for what the scene holds."""


class PluginError(GeoalpsError, TypeError):
    """A segmenter or encoder is unknown, cannot be loaded, or breaks its protocol."""


class CheckpointError(GeoalpsError, ValueError):
    """A checkpoint is missing, damaged, or belongs to another model."""


class StoreError(GeoalpsError, ValueError):
    """A store was made with other options, or lacks tiles."""


class ProductError(GeoalpsError, OSError):
    """A product exists already, or cannot be written or read."""


class TileError(GeoalpsError, RuntimeError):
    """Some tiles failed for good; the others are in the store."""


class WorkerError(GeoalpsError, RuntimeError):
    """There is no Dask scheduler, it has no workers, or it went away."""


class GeoalpsWarning(UserWarning):
    """Something was decided for the user; the text says what and how to decide otherwise."""
