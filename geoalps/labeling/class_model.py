"""The class model: everything needed to give the next scene's objects the same classes.

Two files: ``classes.json``, which a person can read and edit (names, colours, what the model was fitted on), and
``classes.npz`` with the arrays. No pickle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError, ProductError
from geoalps.io.store import appearing, write_json
from geoalps.labeling.kmeans import assign

NORMALISATIONS = ("none", "l2", "zscore", "pca")


@dataclass(frozen=True, eq=False)
class Normalisation:
    """A linear map of embeddings fitted on a scene, then optionally unit length: y = (x - shift) @ basis.

    Columns that were appended to an embedding (:class:`~geoalps.models.with_shape.WithShape`) are no part of what
    becomes unit length.
    """

    kind: str
    """One of ``none``, ``l2``, ``zscore``, ``pca`` (whitened, then unit length)."""
    shift: NDArray[np.float64]
    """(channels,) subtracted first."""
    basis: NDArray[np.float64]
    """(channels, out) what the rest is multiplied with."""
    appended: int = 0
    """The last columns, of what goes in and of what comes out, that are no part of the embedding proper."""

    @classmethod
    def fit(
        cls,
        kind: str,
        mean: NDArray[np.float64],
        covariance: NDArray[np.float64],
        components: int = 32,
        appended: int = 0,
    ) -> Normalisation:
        """Fit on the mean (channels,) and covariance (channels, channels) of a scene's embeddings.

        Args:
            kind: one of NORMALISATIONS.
            mean: (channels,).
            covariance: (channels, channels).
            components: columns that ``pca`` keeps.
            appended: last columns that are z-scored whatever the kind, and together spread as far (in the sum of
                their variances) as all columns before them: few columns are not drowned by many, nor many by few.

        Raises:
            OptionError: unknown kind.
        """
        channels = len(mean)
        if appended and channels:
            return cls._joined(kind, mean, covariance, components, appended)
        if kind in ("none", "l2") or not channels:
            return cls(kind, np.zeros(channels), np.eye(channels))
        if kind == "zscore":
            deviation = np.sqrt(np.diag(covariance))
            # a channel without spread says nothing; dividing by its rounding error would make it say a lot
            useful = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6)
            return cls(kind, mean, np.diag(np.where(useful, 1 / np.where(useful, deviation, 1), 0)))
        if kind == "pca":
            value, vector = np.linalg.eigh(covariance)
            order = np.argsort(-value)[: min(components, channels)]
            order = order[value[order] > 1e-9 * max(value.max(), 1e-30)]
            sign = np.sign(vector[np.abs(vector[:, order]).argmax(0), order])
            return cls(kind, mean, vector[:, order] * (sign / np.sqrt(value[order])))
        raise OptionError(f"normalisation is {kind!r}; allowed are {', '.join(NORMALISATIONS)}")

    @classmethod
    def _joined(
        cls,
        kind: str,
        mean: NDArray[np.float64],
        covariance: NDArray[np.float64],
        components: int,
        appended: int,
    ) -> Normalisation:
        """Both groups of columns, each with its own map; see :meth:`fit`."""
        own = len(mean) - appended
        first = cls.fit(kind, mean[:own], covariance[:own, :own], components)
        last = cls.fit("zscore", mean[own:], covariance[own:, own:])
        spread, columns = first._spread(mean[:own], covariance[:own, :own]), np.count_nonzero(last.basis)
        weight = np.sqrt(spread / columns) if spread > 0 and columns else 1.0
        out = first.basis.shape[1]
        basis = np.zeros((len(mean), out + appended))
        basis[:own, :out], basis[own:, out:] = first.basis, last.basis * weight
        return cls(kind, np.concatenate([first.shift, last.shift]), basis, appended)

    def _spread(self, mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
        """Sum of the variances of all columns that come out, of the embeddings this was fitted on.

        After ``l2`` it is that of vectors of one length, which those of an encoder nearly are.
        """
        if self.kind == "pca":
            return 1.0
        if self.kind == "l2":
            inner = float(np.trace(covariance))
            return inner / max(inner + float(mean @ mean), 1e-30)
        return float(np.einsum("co,cd,do->", self.basis, covariance, self.basis, optimize=False))

    def __call__(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, out) float32 of (n, channels) embeddings."""
        # einsum without BLAS: no bit depends on the number of its threads
        values = np.einsum("nc,co->no", embeddings.astype(np.float64) - self.shift, self.basis)
        if self.kind in ("l2", "pca"):
            own = values[:, : values.shape[1] - self.appended]
            own /= np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
        return np.asarray(values, np.float32)


@dataclass(frozen=True)
class ClassEntry:
    """One class as a person sees it."""

    class_id: int
    """0..k-1."""
    class_name: str
    """Free text."""
    colour: str
    """#rrggbb."""

    def __post_init__(self) -> None:
        """Refuse a colour that is none."""
        if not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            raise OptionError(f"class {self.class_id} has colour {self.colour!r}; want #rrggbb")


@dataclass(frozen=True, eq=False)
class ClassModel:
    """Centres and what it takes to apply them."""

    centres: NDArray[np.float64]
    """(k, channels) in normalised space."""
    normalisation: Normalisation
    """From embeddings to that space."""
    classes: tuple[ClassEntry, ...]
    """k entries, by class id."""
    source: Mapping[str, Any]
    """JSON: segmenter, encoder and their options, stretch, bands, what the model was fitted on."""

    def __len__(self) -> int:
        """Classes."""
        return len(self.centres)

    @property
    def _whole(self) -> bool:
        """Whether the parts fit together."""
        source, shift, basis = self.source, self.normalisation.shift, self.normalisation.basis
        appended = self.normalisation.appended
        return (
            isinstance(source, dict)
            and all(isinstance(source.get(part), dict) for part in ("segmenter", "stretch", "spectra"))
            and self.normalisation.kind in NORMALISATIONS
            and [array.dtype.kind for array in (self.centres, shift, basis)] == ["f"] * 3
            and (self.centres.ndim, shift.ndim, basis.ndim) == (2, 1, 2)
            and basis.shape == (len(shift), self.centres.shape[1])
            and type(appended) is int
            and 0 <= appended <= min(basis.shape)
            and [c.class_id for c in self.classes] == list(range(len(self.centres)))
        )

    def assign(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(n,) int64 classes and (n,) float32 confidences 0..1 (margin to the second-nearest centre) of embeddings.

        Raises:
            OptionError: the embeddings have another number of channels than those the model was fitted on.
        """
        if embeddings.shape[1] != len(self.normalisation.shift):
            raise OptionError(
                f"the class model was fitted on embeddings of {len(self.normalisation.shift)} channels, these have "
                f"{embeddings.shape[1]}; use the segmenter and encoder it was fitted with"
            )
        if not len(self):
            return np.zeros(len(embeddings), np.int64), np.zeros(len(embeddings), np.float32)
        return assign(self.normalisation(embeddings), self.centres)

    def save(self, folder: Path) -> None:
        """Write ``classes.json`` and ``classes.npz`` into a directory."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"centres": self.centres, "shift": self.normalisation.shift, "basis": self.normalisation.basis}
        with appearing(folder / "classes.npz") as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        classes = [{"class_id": c.class_id, "class_name": c.class_name, "colour": c.colour} for c in self.classes]
        content = {
            "format": 1,
            "normalisation": self.normalisation.kind,
            "appended": self.normalisation.appended,
            "classes": classes,
            "source": dict(self.source),
        }
        write_json(folder / "classes.json", content)

    @classmethod
    def load(cls, path: Path) -> ClassModel:
        """Read a class model from its directory, or from the path of its ``classes.json``.

        Raises:
            ProductError: it is missing or damaged.
        """
        folder = path.parent if path.suffix == ".json" else path
        try:
            content = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
            with np.load(folder / "classes.npz", allow_pickle=False) as arrays:
                centres, shift, basis = arrays["centres"], arrays["shift"], arrays["basis"]
            classes = tuple(
                ClassEntry(int(c["class_id"]), str(c["class_name"]), str(c["colour"])) for c in content["classes"]
            )
            normalisation = Normalisation(content["normalisation"], shift, basis, content.get("appended", 0))
            model = cls(centres, normalisation, classes, content["source"])
        except FileNotFoundError as error:
            raise ProductError(
                f"{folder} holds no class model (no {Path(error.filename).name}); give a product, or what "
                "`geoalps fit` made"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise ProductError(
                f"the class model in {folder} is damaged ({error}); copy it again or fit another with `geoalps fit`"
            ) from error
        if not model._whole:
            raise ProductError(
                f"the class model in {folder} is damaged: classes.json and classes.npz do not fit together"
            )
        if len({entry.class_name for entry in classes}) < len(classes):
            raise ProductError(f"two classes of {folder / 'classes.json'} have one name; give each its own")
        return model


def entries(colours: Sequence[str]) -> tuple[ClassEntry, ...]:
    """Unnamed classes of these colours."""
    return tuple(ClassEntry(i, f"class {i}", colour) for i, colour in enumerate(colours))
