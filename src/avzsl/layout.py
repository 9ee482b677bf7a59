"""Where the files of a benchmark folder lie; written by feature extraction, read by data loading.

The layout is the one the field distributes (docs/protocol.md section 2), so that a folder written here can be read by
the public trainers and the other way round.

    <root>/class-split/all_class.txt
    <root>/class-split/<stem>_w2v_class_names.csv
    <root>/class-split/<family split>/<split>.txt and .csv
    <root>/features/<family folder>/{audio,video}/<split>/<class name>.h5
    <root>/features/<family folder>/text/word_embeddings_<stem>_normed.{npy,safetensors}
    <root>/features/<family folder>_non_averaged/{audio,video}/<split>/<class name>.h5
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avzsl.errors import SettingError, nearest_name

SPLITS = (
    "stage_1_train",
    "stage_1_val_seen",
    "stage_1_val_unseen",
    "stage_2_train",
    "stage_2_test_seen",
    "stage_2_test_unseen",
)
# Stage 2 trains on the union of these; the public trainer never opens the stage_2_train folder.
STAGE_1_SPLITS = SPLITS[:3]
FAMILIES = ("main", "cls")
# Folder name on disk of each modality.
FOLDERS = {"audio": "audio", "visual": "video"}
FEATURE_SUFFIX = ".h5"
PICKLE_SUFFIX = ".pkl"
# The word-vector file of ActivityNet is the only one whose stem differs from that of the class-name file.
_VECTOR_STEMS = {"activitynet": "activity"}
_TEMPORAL_ENDINGS = ("_non_averaged", "_no_averaged")


@dataclass(frozen=True)
class Layout:
    """Paths of one benchmark folder and one feature family. Nothing is created; most paths need not exist.

    Attributes:
        root: the dataset folder, such as `.../UCF`.
        family: `"main"`, `"cls"` or any other name.
        given_stem: beginning of the class-name file when it does not follow from the folder's name.
    """

    root: Path
    family: str = "main"
    given_stem: str | None = None

    @property
    def name(self) -> str:
        """The dataset's name: the name of its folder."""
        return self.root.name

    @property
    def stem(self) -> str:
        """`ucf`, `activitynet`, `vggsound`, or the folder's name in lower case with `_` for spaces."""
        return self.given_stem or self.root.name.lower().replace(" ", "_")

    @property
    def class_split_dir(self) -> Path:
        """`class-split` as distributed; `class_split` when only that spelling is there (P17)."""
        underscore = self.root / "class_split"
        hyphen = self.root / "class-split"
        return underscore if underscore.is_dir() and not hyphen.is_dir() else hyphen

    @property
    def all_class(self) -> Path:
        """One class name per line; their sorted order gives the class ids."""
        return self.class_split_dir / "all_class.txt"

    @property
    def class_names_csv(self) -> Path:
        """Columns `original,manual`: class name to key of its word vector."""
        return self.class_split_dir / f"{self.stem}_w2v_class_names.csv"

    @property
    def split_dir(self) -> Path:
        """Folder of the split files of this family."""
        return self.class_split_dir / ("cls_split" if self.family == "cls" else "main_split")

    def split_txt(self, split: str) -> Path:
        """The classes of a split, one per line; authoritative."""
        return self.split_dir / f"{check_split(split)}.txt"

    def split_csv(self, split: str) -> Path:
        """The clips of a split; for checks only."""
        return self.split_dir / f"{check_split(split)}.csv"

    @property
    def family_dir(self) -> Path:
        """Folder of the averaged features."""
        return self.root / "features" / f"{self.family}_features"

    @property
    def temporal_dir(self) -> Path:
        """Folder of the features with one row per segment; the spelling that is there, else `_non_averaged`."""
        choices = [self.family_dir.with_name(self.family_dir.name + ending) for ending in _TEMPORAL_ENDINGS]
        return next((c for c in choices if c.is_dir()), choices[0])

    def features_dir(self, modality: str, split: str, *, temporal: bool = False) -> Path:
        """Folder of the class files of one modality (`"audio"` or `"visual"`) and split."""
        base = self.temporal_dir if temporal else self.family_dir
        return base / FOLDERS[modality] / check_split(split)

    def features_file(self, modality: str, split: str, class_name: str) -> Path:
        """Averaged features of one class: one row per clip."""
        return self.features_dir(modality, split) / f"{class_name}{FEATURE_SUFFIX}"

    def temporal_file(self, modality: str, split: str, class_name: str) -> Path:
        """Features of one class with one row per segment."""
        return self.features_dir(modality, split, temporal=True) / f"{class_name}{FEATURE_SUFFIX}"

    @property
    def word_vectors(self) -> Path:
        """The word vectors as distributed (a pickled dictionary in a .npy file)."""
        return self.family_dir / "text" / f"word_embeddings_{_VECTOR_STEMS.get(self.stem, self.stem)}_normed.npy"

    @property
    def word_vectors_safetensors(self) -> Path:
        """The word vectors as this package writes them."""
        return self.word_vectors.with_suffix(".safetensors")


def check_split(split: str) -> str:
    """The split's name, if it is one.

    Raises:
        SettingError: no split has that name.
    """
    if split not in SPLITS:
        raise SettingError(f"unknown split '{split}'{nearest_name(split, SPLITS)}")
    return split


def class_of_file(path: Path) -> str:
    """Class name of a feature file: only the last ending goes ("bee, wasp, etc. buzzing.h5" holds full stops)."""
    return path.name.removesuffix(path.suffix)
