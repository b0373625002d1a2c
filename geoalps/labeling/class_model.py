"""The class model: everything needed to give the next scene's objects the same classes.

Two files: ``classes.json``, which a person can read (names, colours, what the model was fitted on), and ``classes.npz``
with the arrays. No pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from geoalps.errors import OptionError, ProductError
from geoalps.io.class_table import ClassEntry, check_entries
from geoalps.io.store import appearing, write_json
from geoalps.labeling.centres import Centres, Located
from geoalps.labeling.normalisation import NORMALISATIONS, Normalisation

FORMAT = 2
"""Raised when the files come to mean something else."""
ARRAYS = ("vectors", "parents", "classes", "counts", "radii", "usual")
"""Of the centres, as they are named in ``classes.npz``."""
SCALING = ("shift", "basis", "mean", "deviation")
"""Of the normalisation, likewise."""


@dataclass(frozen=True, eq=False)
class ClassModel:
    """Centres and what it takes to apply them."""

    centres: Centres
    """k classes in normalised space."""
    normalisation: Normalisation
    """From embeddings to that space."""
    classes: tuple[ClassEntry, ...]
    """k entries, by class id: names, colours, and which class is merged into which."""
    source: Mapping[str, Any]
    """JSON: segmenter, encoder and their options, stretch, bands, what the model was fitted on."""

    def __len__(self) -> int:
        """Classes, merged ones too."""
        return len(self.centres)

    @property
    def merged(self) -> NDArray[np.int64]:
        """(k,) the class that stands for every class: itself, or the one that it is merged into."""
        return np.array([c.class_id if c.merge_into is None else c.merge_into for c in self.classes], np.int64)

    @property
    def is_edited(self) -> bool:
        """Whether somebody named, merged or split classes."""
        return any(c.merge_into is not None or c.class_name != f"class {c.class_id}" for c in self.classes)

    @property
    def _whole(self) -> bool:
        """Whether the parts fit together."""
        source, scaling, appended = self.source, self.normalisation, self.normalisation.appended
        shift, basis = scaling.shift, scaling.basis
        return (
            isinstance(source, dict)
            and all(isinstance(source.get(part), dict) for part in ("segmenter", "stretch", "spectra"))
            and all(part in source for part in ("bands", "dtype", "scenes", "objects"))
            and all(np.isfinite(array).all() for array in (self.centres.vectors, shift, basis))
            and self.normalisation.kind in NORMALISATIONS
            and {getattr(scaling, name).dtype.kind for name in SCALING} == {"f"}
            and (shift.ndim, basis.ndim) == (1, 2)
            and shift.shape == scaling.mean.shape == scaling.deviation.shape
            and self.centres.whole
            and basis.shape == (len(shift), self.centres.vectors.shape[1])
            and type(appended) is int
            and 0 <= appended <= min(basis.shape)
            and [c.class_id for c in self.classes] == list(range(len(self.centres)))
        )

    def normalised(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, out) of (n, channels) embeddings.

        Raises:
            OptionError: the embeddings have another number of channels than those the model was fitted on.
        """
        if embeddings.shape[1] != len(self.normalisation.shift):
            raise OptionError(
                f"the class model was fitted on embeddings of {len(self.normalisation.shift)} channels, these have "
                f"{embeddings.shape[1]}; use the segmenter and encoder it was fitted with"
            )
        return self.normalisation(embeddings)

    def locate(self, embeddings: NDArray[np.float32]) -> tuple[Located, NDArray[np.bool_], NDArray[np.bool_]]:
        """Where n embeddings lie among the centres, and (n,) bool twice: which are unseen, and which unusual."""
        x = self.normalised(embeddings)
        located = self.centres.locate(x)
        return located, self.centres.unseen(x, located), self.centres.unusual(located)

    def assign(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(n,) int64 classes, merges not applied, and (n,) float32 confidences 0..1 of embeddings.

        A confidence is the margin between the nearest and the second-nearest centre.

        Raises:
            OptionError: the embeddings have another number of channels than those the model was fitted on.
        """
        x = self.normalised(embeddings)
        if not len(self):
            return np.zeros(len(embeddings), np.int64), np.zeros(len(embeddings), np.float32)
        located = self.centres.locate(x)
        return located.class_id, located.confidence

    def with_classes(self, entries: Sequence[ClassEntry]) -> ClassModel:
        """The same centres with other names, colours and merges.

        Raises:
            OptionError: see :func:`geoalps.io.class_table.check_entries`.
        """
        check_entries(entries, len(self))
        return replace(self, classes=tuple(entries))

    def save(self, folder: Path) -> None:
        """Write ``classes.json`` and ``classes.npz`` into a directory."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self.centres, name) for name in ARRAYS}
        arrays |= {name: getattr(self.normalisation, name) for name in SCALING}
        with appearing(folder / "classes.npz") as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        content = {
            "format": FORMAT,
            "arrays": _digest(folder / "classes.npz"),
            "normalisation": self.normalisation.kind,
            "appended": self.normalisation.appended,
            "classes": [asdict(entry) for entry in self.classes],
            "source": dict(self.source),
        }
        write_json(folder / "classes.json", content)

    @classmethod
    def load(cls, path: str | Path) -> ClassModel:
        """Read a class model from its directory, or from the path of its ``classes.json``.

        Raises:
            ProductError: it is missing or damaged, or of another format.
        """
        path = Path(path)
        folder = path.parent if path.suffix == ".json" else path
        try:
            content = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise _older(folder, content["format"])
            together = content["arrays"] == _digest(folder / "classes.npz")
            with np.load(folder / "classes.npz", allow_pickle=False) as arrays:
                centres = Centres(*(arrays[name] for name in ARRAYS))
                shift, basis, mean, deviation = (arrays[name] for name in SCALING)
            classes = tuple(_entry(fields) for fields in content["classes"])
            normalisation = Normalisation(content["normalisation"], shift, basis, content["appended"], mean, deviation)
            model = cls(centres, normalisation, classes, content["source"])
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ProductError(
                f"{folder} holds no class model (no {Path(error.filename).name}); give a product, or what "
                "`geoalps fit` made"
            ) from error
        except ProductError:
            raise
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise ProductError(
                f"the class model in {folder} is damaged ({error}); copy it again or fit another with `geoalps fit`"
            ) from error
        if not together or not model._whole:
            raise ProductError(
                f"the class model in {folder} is damaged: classes.json and classes.npz do not fit together"
            )
        try:
            check_entries(classes)
        except OptionError as error:
            raise ProductError(f"{folder / 'classes.json'}: {error}") from error
        return model


def _entry(fields: Mapping[str, Any]) -> ClassEntry:
    """One class of ``classes.json``."""
    into = fields.get("merge_into")
    return ClassEntry(
        int(fields["class_id"]), str(fields["class_name"]), str(fields["colour"]), None if into is None else int(into)
    )


def _digest(path: Path) -> str:
    """Of a file: what is named here belongs to what is there."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _older(folder: Path, found: object) -> ProductError:
    return ProductError(
        f"{folder} holds a class model of format {found}, this version reads {FORMAT}; fit it again with `geoalps fit`"
    )


def entries(colours: Sequence[str]) -> tuple[ClassEntry, ...]:
    """Unnamed classes of these colours."""
    return tuple(ClassEntry(i, f"class {i}", colour) for i, colour in enumerate(colours))
