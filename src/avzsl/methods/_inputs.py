"""What methods ask of their input: both modalities, or the averages of those that are there."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from avzsl.errors import ModelError, SettingError
from avzsl.nn.mlp import masked_mean
from avzsl.types import Clips, Dimensions


def both_sizes(dimensions: Dimensions, title: str) -> tuple[int, int]:
    """d_a and d_v of a method that needs both modalities.

    Raises:
        SettingError: the features have only one.
    """
    if not dimensions.audio or not dimensions.visual:
        raise SettingError(f"{title} needs sound and picture, but these features have only one of them")
    return dimensions.audio, dimensions.visual


def both_averaged(clips: Clips, dimensions: Dimensions) -> tuple[Tensor, Tensor]:
    """Audio [B, d_a] and visual [B, d_v], averaged over the real segments of each clip.

    Raises:
        ModelError: a modality is missing or of another size than the method was built for.
    """
    return averaged(clips, "audio", dimensions.audio), averaged(clips, "visual", dimensions.visual)


def averaged(clips: Clips, modality: str, size: int | None) -> Tensor:
    """One modality [B, d], averaged over the real segments of each clip.

    Args and errors: those of `segments`.
    """
    return masked_mean(*segments(clips, modality, size))


def segments(clips: Clips, modality: str, size: int | None) -> tuple[Tensor, Tensor | None]:
    """One modality [B, L, d] and its mask [B, L], None when all segments are real.

    Args:
        clips: B clips.
        modality: `"audio"` or `"visual"`.
        size: d that the method was built for.

    Raises:
        ModelError: the modality is missing, empty or of another size.
    """
    features: Tensor | None = getattr(clips, modality)
    mask: Tensor | None = getattr(clips, f"{modality}_mask")
    if features is None:
        raise ModelError(f"these clips have no {modality} features, and this method needs both sound and picture")
    if features.shape[2] != size:
        raise ModelError(f"{modality} features have {features.shape[2]} columns, this model was built for {size}")
    if features.shape[1] == 0 or (mask is not None and not mask.any(1).all()):
        raise ModelError(f"a clip has no {modality} segment, and this method needs both sound and picture")
    return features, mask


def given_segments(clips: Clips, sizes: Mapping[str, int]) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Features [B, L, d] and mask [B, L] of each modality that the model was built for and that these clips have.

    Args:
        clips: B clips.
        sizes: modality to the columns that the model was built for.

    Raises:
        ModelError: another size, a clip without segments, or nothing that the model looks at.
    """
    given = {}
    for name, size in sizes.items():
        features, mask = getattr(clips, name), getattr(clips, f"{name}_mask")
        if features is None:
            continue
        if features.shape[2] != size:
            raise ModelError(f"{name} features have {features.shape[2]} columns, this model was built for {size}")
        if features.shape[1] == 0 or (mask is not None and not mask.any(1).all()):
            raise ModelError(f"a clip has no {name} segment; leave {name} out for the whole block of clips")
        given[name] = (features, mask)
    if not given:
        raise ModelError(f"these clips have no {' and no '.join(sizes)}, all that this model looks at")
    return given


def given_averages(clips: Clips, sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """Mean over the real segments of each modality that is there, [B, d] each; the rest as in `given_segments`."""
    return {name: masked_mean(features, mask) for name, (features, mask) in given_segments(clips, sizes).items()}
