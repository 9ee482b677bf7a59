"""f-VAEGAN-D2: a generator learns what features of a class look like, and a classifier learns from what it makes.

Equations as in the public code of Mercea et al. (CVPR 2022), whose tables call the method VAEGAN.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from avzsl.config import quirk
from avzsl.errors import SettingError
from avzsl.losses.generative import bernoulli_loss, gradient_penalty, normal_divergence
from avzsl.methods._base import Method, register
from avzsl.methods._inputs import both_averaged, both_sizes
from avzsl.methods._softmax import Softmax, SoftmaxTraining, equal_weights, train_softmax
from avzsl.nn.generative import Critic, FeatureEncoder, FeatureGenerator
from avzsl.types import Batch, Clips, Dimensions

# Clips per batch of the published runs; the weight of the adversarial terms is told for it.
PUBLISHED_BATCH = 64
# Text vectors have length 1; two that differ less than this are the same class, encoded on another machine.
SAME = 1e-5


@dataclass(frozen=True)
class VaeganConfig:
    """Settings of f-VAEGAN-D2.

    Attributes:
        latent: width of the noise that a feature is made from.
        encoder_hidden, generator_hidden, critic_hidden: hidden units.
        critic_steps: the generator and the encoder learn in the first of this many batches, the critic in all.
        penalty: λ, weight of the gradient penalty.
        gan_weight: weight of the adversarial terms against the summed terms of the autoencoder, for a batch of 64
            clips (Q14 names it).
        synthetic: features made of each candidate class without clips, to train the classifier.
        classifier_epochs: passes of the classifier over real and made features.
        classifier_rate: its learning rate.
        classifier_batch: its batch size; 0 = as many as `synthetic`.
        memory: training clips kept per class for the classifier, evenly spaced; 0 = all.
        memory_type: in what form; `"float16"` halves the size of the model file.
        draws: seed of the made features, of the classifier's first weights and of its order of rows.
        second_critic: Q13, train a critic that is not told the class too; nothing learns from it.
        summed: Q14, sum the autoencoder's terms over the batch, so that its size moves the balance; off, the sum is
            scaled to a batch of 64.
        scaling: Q15, `"range"` = each column to [0, 1] by its smallest and largest training value; `"length"` = clips
            to length 1, which stays in [0, 1] for features without negative values only.
        rows_as_prior: Q19, every row counts alike in the classifier, so that a class is the likelier the more rows it
            has, real or made; off, every class counts alike, as it does in the scores of the benchmark.
    """

    latent: int = 300
    encoder_hidden: int = 300
    generator_hidden: int = 512
    critic_hidden: int = 512
    critic_steps: int = 5
    penalty: float = 10.0
    gan_weight: float = 1e5
    synthetic: int = 1000
    classifier_epochs: int = 30
    classifier_rate: float = 1e-3
    classifier_batch: int = 0
    memory: int = 0
    memory_type: Literal["float32", "float16"] = "float32"
    draws: int = 0
    second_critic: bool = quirk("Q13", clean=False, reference=True)
    summed: bool = quirk("Q14", clean=False, reference=True)
    scaling: Literal["range", "length"] = quirk("Q15", clean="range", reference="length")
    rows_as_prior: bool = quirk("Q19", clean=False, reference=True)

    def __post_init__(self) -> None:
        for name in (
            "latent", "encoder_hidden", "generator_hidden", "critic_hidden", "critic_steps", "synthetic",
            "classifier_epochs",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("penalty", "gan_weight", "classifier_batch", "memory", "draws"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise SettingError(f"{name} is {getattr(self, name)}; it must be 0 or more, and finite")
        if not 0 < self.classifier_rate < float("inf"):
            raise SettingError(f"classifier_rate is {self.classifier_rate}; it must be above 0 and finite")


@register("vaegan")
class Vaegan(Method):
    """Feature generation by a variational autoencoder and a Wasserstein GAN that share their decoder.

    Per batch, with x the features of a clip and t the text vector of its class:

    - the critic minimises mean D(x̃, t) - mean D(x, t) + λ · penalty, x̃ = G(z₀, t);
    - in the first of `critic_steps` batches, generator and encoder minimise
      gan_weight · (-mean D(x̂, t) - mean D(x̃, t)) + BCE(x̂, x) + KL, with x̂ = G(μ + ε σ, t), the same z₀ and the critic
      as its own step left it.

    For a set of candidate classes, features are made of those that were not trained on, and a linear softmax classifier
    learns from them and the real features of the others: its log-probabilities are the scores. A second one, taught by
    the made features alone, decides where only such classes are possible (output `"zsl"`).
    """

    Config = VaeganConfig
    title: ClassVar[str] = "f-VAEGAN-D2"
    year: ClassVar[int] = 2019
    venue: ClassVar[str] = "CVPR"
    citation: ClassVar[str] = (
        "Xian, Sharma, Schiele and Akata, f-VAEGAN-D2: A Feature Generating Framework for Any-Shot Learning, CVPR 2019"
    )
    candidates_matter: ClassVar[bool] = True
    # The critic learns to be steep; what generator and encoder minimise rises while they follow a better critic.
    falling: ClassVar[str] = "penalty"
    config: VaeganConfig
    batches: Tensor
    lowest: Tensor
    width: Tensor
    memory_rows: Tensor
    memory_labels: Tensor
    memory_classes: Tensor

    def __init__(self, config: VaeganConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        size, text = sum(both_sizes(dimensions, self.title)), dimensions.text
        self.encoder = FeatureEncoder(size, text, config.encoder_hidden, config.latent)
        self.generator = FeatureGenerator(size, text, config.generator_hidden, config.latent)
        self.critic = Critic(size, text, config.critic_hidden)
        self.second_critic = Critic(size, 0, config.critic_hidden) if config.second_critic else None
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))  # of this epoch
        self.register_buffer("lowest", torch.zeros(size))
        self.register_buffer("width", torch.ones(size))
        kept = torch.float16 if config.memory_type == "float16" else torch.float32
        self.register_buffer("memory_rows", torch.zeros(0, size, dtype=kept))
        self.register_buffer("memory_labels", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("memory_classes", torch.zeros(0, text))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One Adam for all parts; moments belong to single weights, so this is one for each part."""
        return [group | {"betas": (0.5, 0.999)} for group in super().parameter_groups()]

    def solve(self, clips: Clips, labels: Tensor, classes: Tensor) -> bool:
        """Before the first step: look up the range of every column, and keep what the classifier will learn from."""
        raw = torch.cat(both_averaged(clips, self.dimensions), 1)
        if self.config.scaling == "range":
            self.lowest = raw.amin(0)
            span = raw.amax(0) - self.lowest
            self.width = torch.where(span > 0, span, torch.ones_like(span))  # a constant column becomes 0
        chosen = _evenly_per_class(labels, self.config.memory)
        self.memory_rows = self._scaled(raw[chosen]).to(self.memory_rows.dtype)
        self.memory_labels = labels[chosen].clone()
        self.memory_classes = classes.clone()
        return False

    def make_room(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Let the memory be as large as the stored one."""
        for name in ("memory_rows", "memory_labels", "memory_classes"):
            if name in shapes:
                setattr(self, name, getattr(self, name).new_zeros(shapes[name]))

    def updates(self, batch: Batch) -> Iterator[dict[str, Tensor]]:
        """A step of the critic; then, in the first of `critic_steps` batches, one of generator and encoder."""
        real, words = self._features(batch.clips), batch.classes[batch.labels]
        noise = torch.randn(len(real), self.config.latent, device=real.device)
        yield self._critic_terms(real, words, noise)
        due = int(self.batches) % self.config.critic_steps == 0
        self.batches += 1
        if due:
            yield self._generator_terms(real, words, noise)

    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of both opponents side by side, to look at; `updates` trains them in turns."""
        real, words = self._features(batch.clips), batch.classes[batch.labels]
        noise = torch.randn(len(real), self.config.latent, device=real.device)
        critic, generator = self._critic_terms(real, words, noise), self._generator_terms(real, words, noise)
        return critic | generator | {"loss": critic["loss"] + generator["loss"]}

    def end_of_epoch(self, clips: Clips, labels: Tensor, classes: Tensor) -> None:
        """The generator steps in the first batch of every epoch."""
        self.batches.zero_()

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        """Log-probabilities [B, C]; trains the classifier for these classes anew, so use `scorer` for many blocks."""
        return self.mode_scores(clips, classes)["both"]

    def mode_scores(self, clips: Clips, classes: Tensor) -> dict[str, Tensor]:
        """The same, and `"zsl"` where some candidates were trained on and some were not."""
        return self.scorer(classes)(clips)

    def scorer(self, classes: Tensor) -> Callable[[Clips], dict[str, Tensor]]:
        """Train the classifiers for these candidates, once.

        Candidates that the model was trained on are recognised by their text vectors. Neither the order of the
        candidates nor torch's random stream moves a number. An untrained model answers by an untrained classifier.
        """
        words, places = torch.unique(classes, dim=0, return_inverse=True)  # sorted
        with torch.inference_mode(False), torch.no_grad():  # the caller's mode allows no training
            rows, labels, made = self._classifier_data(words)
            joint = self._fit(words, rows, labels)
            alone = None
            if 0 < int(made.sum()) < len(words):
                first, column = int((~made[labels]).sum()), made.cumsum(0) - 1
                alone = self._fit(words[made], rows[first:], column[labels[first:]])

        def score(clips: Clips) -> dict[str, Tensor]:
            inputs = functional.normalize(self._features(clips), dim=1)
            scores = {"both": joint.log_probabilities(inputs)[:, places]}
            if alone is not None:
                only = torch.full((len(inputs), len(words)), -torch.inf, device=inputs.device)
                only[:, made] = alone.log_probabilities(inputs)
                scores["zsl"] = only[:, places]
            return scores

        return score

    def _features(self, clips: Clips) -> Tensor:
        """x of each clip, [B, d_a + d_v]: sound first."""
        return self._scaled(torch.cat(both_averaged(clips, self.dimensions), 1))

    def _scaled(self, raw: Tensor) -> Tensor:
        if self.config.scaling == "length":
            return functional.normalize(raw, dim=1)
        return ((raw - self.lowest) / self.width).clamp(0, 1)

    def _critic_terms(self, real: Tensor, words: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """WGAN-GP losses of the critics; the generator is left alone."""
        with torch.no_grad():
            fake = self.generator(noise, words)
        terms = self._wasserstein(lambda rows: self.critic(rows, words), real, fake)
        if self.second_critic is not None:
            # No weight belongs to both critics, so one step on the sum is one on each.
            second = self._wasserstein(self.second_critic, real, fake)
            terms |= {f"{name}2": value for name, value in second.items() if name != "loss"}
            terms["loss"] = terms["loss"] + second["loss"]
        return terms

    def _wasserstein(self, critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        share = torch.rand(len(real), 1, device=real.device)
        judged = critic(fake).mean() - critic(real).mean()
        penalty = self.config.penalty * gradient_penalty(critic, real, fake, share)
        return {"loss": judged + penalty, "critic": judged, "penalty": penalty}

    def _generator_terms(self, real: Tensor, words: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Losses of generator and encoder; the critic judges, but does not learn."""
        mean, log_variance = self.encoder(real, words)
        rebuilt = self.generator(mean + torch.randn_like(mean) * (0.5 * log_variance).exp(), words)
        scale = 1.0 if self.config.summed else PUBLISHED_BATCH / len(real)
        reconstruction = scale * bernoulli_loss(rebuilt, real.clamp(0, 1))
        divergence = scale * normal_divergence(mean, log_variance)
        frozen = {name: weight.detach() for name, weight in self.critic.named_parameters()}
        made = self.generator(noise, words)
        gan = -sum(functional_call(self.critic, frozen, (rows, words)).mean() for rows in (rebuilt, made))
        vae = reconstruction + divergence
        return {
            "loss": self.config.gan_weight * gan + vae,
            "gan": gan,
            "vae": vae,
            "reconstruction": reconstruction,
            "divergence": divergence,
        }

    def _classifier_data(self, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the classifier of these classes [C, d_w] learns from.

        Returns:
            Rows [N, d] of length 1; their labels [N]; and which classes [C] had to be made, whose rows come last.
        """
        near = torch.stack([(self.memory_classes - row).abs().amax(1) <= SAME for row in words])  # [C, M]
        column = torch.where(near.any(0), near.float().argmax(0), -1)
        owner = column[self.memory_labels]
        labels = owner[owner >= 0]
        made = torch.bincount(labels, minlength=len(words)) == 0
        count = self.config.synthetic if len(self.memory_labels) else 0
        blocks = made.nonzero().squeeze(1)
        # One table, filled in place: with many classes it is by far the largest thing here.
        rows = torch.empty(len(labels) + count * len(blocks), self.memory_rows.shape[1], device=words.device)
        rows[: len(labels)] = functional.normalize(self.memory_rows[owner >= 0].float(), dim=1)
        for number, place in enumerate(blocks.tolist() if count else []):
            noise = torch.randn(count, self.config.latent, generator=self._generator_of(words[place]))
            features = self.generator(noise.to(rows.device), words[place].expand(count, -1))
            start = len(labels) + number * count
            rows[start : start + count] = functional.normalize(features, dim=1)
        return rows, torch.cat([labels, blocks.repeat_interleave(count)]), made

    def _fit(self, words: Tensor, rows: Tensor, labels: Tensor) -> Softmax:
        config = self.config
        generator = self._generator_of(words)
        start = Softmax.drawn(len(words), rows.shape[1], generator, rows.device)
        if len(rows) == 0:
            return start
        order = torch.randperm(len(rows), generator=generator).to(rows.device)
        how = SoftmaxTraining(
            config.classifier_epochs, config.classifier_batch or config.synthetic, config.classifier_rate
        )
        weights = None if config.rows_as_prior else equal_weights(labels)
        return train_softmax(start, rows, labels, order, how, weights)

    def _generator_of(self, words: Tensor) -> torch.Generator:
        """A generator that follows from the seed of draws and these text vectors."""
        content = words.detach().cpu().contiguous().numpy().tobytes()
        digest = hashlib.sha256(f"{self.config.draws}/{words.dim()}/".encode() + content).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _evenly_per_class(labels: Tensor, most: int) -> Tensor:
    """Rows of at most `most` clips of each class, evenly spaced, in their order; 0 = all rows."""
    if most == 0:
        return torch.arange(len(labels), device=labels.device)
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels)
    starts = counts.cumsum(0) - counts
    kept = [
        start + torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).round().long()
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True)
        if count
    ]
    return order[torch.cat(kept).to(order.device)].sort().values
