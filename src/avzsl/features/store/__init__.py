"""The only writer and reader of feature and word-vector files; the `data` room sees nothing else of `features`."""

from __future__ import annotations

from avzsl.features.store.class_files import ClassFile, check_same_clips, read_class_file, write_class_file
from avzsl.features.store.reader import FeatureReader
from avzsl.features.store.temporal import (
    TemporalFile,
    read_temporal_file,
    read_temporal_pickle,
    write_temporal_file,
)
from avzsl.features.store.vectors import FILE_ENCODER, read_word_vectors, write_word_vectors

__all__ = [
    "FILE_ENCODER",
    "ClassFile",
    "FeatureReader",
    "TemporalFile",
    "check_same_clips",
    "read_class_file",
    "read_temporal_file",
    "read_temporal_pickle",
    "read_word_vectors",
    "write_class_file",
    "write_temporal_file",
    "write_word_vectors",
]
