"""The five groups of losses of AVCA, shared by every method built on its code: ten triplets, seven squared errors.

Source: the public code of Mercea et al., CVPR 2022. All groups weigh 1, nothing is detached.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import mse_loss, triplet_margin_loss

MARGIN = 1.0


class Trio(NamedTuple):
    """The same thing made from sound, from picture and from the text of the class, each [B, D]."""

    audio: Tensor
    visual: Tensor
    words: Tensor


class Pair(NamedTuple):
    """The same thing made from sound and from picture, each [B, D]."""

    audio: Tensor
    visual: Tensor


def cross_attention_losses(
    *,
    words: Tensor,
    joint: Trio,
    negative_joint: Trio,
    decoded: Trio,
    negative_decoded: Pair,
    tokens: Pair,
    rebuilt: Pair,
) -> dict[str, Tensor]:
    """All five groups and, under `"loss"`, their sum.

    Args:
        words: w, text vectors of the clips' classes, [B, d_w].
        joint: θ, embeddings in the joint space, [B, D].
        negative_joint: θ⁻, those of clips of other classes and of these classes.
        decoded: ρ, text vectors rebuilt from θ, [B, d_w].
        negative_decoded: ρ⁻, those rebuilt from θ⁻.
        tokens: φ, what the encoders said, [B, h].
        rebuilt: φ′, tokens rebuilt from θ, [B, h].
    """
    terms = {
        "reconstruction": word_reconstruction(decoded, words),
        "decoded_triplet": decoded_triplet(decoded, negative_decoded),
        "triplet": joint_triplet(joint, negative_joint),
        "own_triplet": own_modality_triplet(joint, negative_joint),
        "regulariser": regulariser(tokens, rebuilt, joint),
    }
    loss: Tensor = terms["reconstruction"] + terms["decoded_triplet"] + terms["triplet"]
    return {"loss": loss + terms["own_triplet"] + terms["regulariser"]} | terms


def margin_triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Mean over rows of [1 + d(anchor, positive) - d(anchor, negative)]₊.

    d is Euclidean after 1e-6 is added to every entry of the difference, torch's own definition; it keeps the gradient
    of equal rows finite.

    Args:
        anchor: [B, D].
        positive: [B, D], should be near.
        negative: [B, D], should be far.
    """
    return triplet_margin_loss(anchor, positive, negative, margin=MARGIN)


def word_reconstruction(decoded: Trio, words: Tensor) -> Tensor:
    """l_rec: mean squared error of the text vectors rebuilt from picture, sound and text."""
    return mse_loss(decoded.visual, words) + mse_loss(decoded.audio, words) + mse_loss(decoded.words, words)


def decoded_triplet(decoded: Trio, negative: Pair) -> Tensor:
    """l_ct: among rebuilt text vectors, the one from text is near that of its own clip and far from another's."""
    audio = margin_triplet(decoded.words, decoded.audio, negative.audio)
    return audio + margin_triplet(decoded.words, decoded.visual, negative.visual)


def joint_triplet(joint: Trio, negative: Trio) -> Tensor:
    """l_w: a text against two clips and a clip against two texts, for sound and for picture."""
    audio = margin_triplet(joint.words, joint.audio, negative.audio) + margin_triplet(
        joint.audio, joint.words, negative.words
    )
    visual = margin_triplet(joint.words, joint.visual, negative.visual) + margin_triplet(
        joint.visual, joint.words, negative.words
    )
    return audio + visual


def own_modality_triplet(joint: Trio, negative: Trio) -> Tensor:
    """l_t: as `joint_triplet`, but the negative is of the anchor's own kind: clip against clip, text against text."""
    clips = margin_triplet(joint.audio, joint.words, negative.audio) + margin_triplet(
        joint.visual, joint.words, negative.visual
    )
    texts = margin_triplet(joint.words, joint.audio, negative.words) + margin_triplet(
        joint.words, joint.visual, negative.words
    )
    return clips + texts


def regulariser(tokens: Pair, rebuilt: Pair, joint: Trio) -> Tensor:
    """l_r: rebuilt tokens near those of the encoders, clips near their texts (mean squared errors)."""
    back = mse_loss(rebuilt.visual, tokens.visual) + mse_loss(rebuilt.audio, tokens.audio)
    return back + mse_loss(joint.visual, joint.words) + mse_loss(joint.audio, joint.words)
