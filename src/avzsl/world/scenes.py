"""What a scene is made of: attributes one can see, attributes one can hear, and the name they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Generic, TypeVar

import numpy as np

from avzsl.errors import SettingError

# Ordered so that the first few of each are easiest to tell apart; small worlds use only those.
COLOURS = ("red", "green", "blue", "yellow", "purple", "turquoise")
OBJECTS = ("ball", "square", "star", "ring", "triangle", "cross")
MOTIONS = ("bouncing", "spinning", "sliding", "pulsing", "circling", "shaking")
RHYTHMS = ("slow", "fast", "steady", "galloping", "stuttering", "swelling")
PITCHES = ("low", "high", "medium")
TIMBRES = ("bells", "flutes", "drums", "buzzers", "strings", "organs")

SMALLEST, LARGEST = 10, 200
PARTS = ("train", "val", "unseen")
_TRIES = 300

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class Look:
    """What one sees."""

    colour: str
    object: str
    motion: str


@dataclass(frozen=True, order=True)
class Sound:
    """What one hears."""

    rhythm: str
    pitch: str
    timbre: str


@dataclass(frozen=True)
class SceneClass:
    """One class of the world.

    Attributes:
        look: its visual attributes.
        sound: its audible attributes.
        part: `"train"` (seen from stage 1 on), `"val"` (unseen in stage 1, seen in stage 2) or `"unseen"`.
    """

    look: Look
    sound: Sound
    part: str

    @property
    def name(self) -> str:
        """A short English phrase that holds every attribute."""
        return (
            f"{self.look.colour} {self.look.object} {self.look.motion} to {self.sound.rhythm} {self.sound.pitch}"
            f" {self.sound.timbre}"
        )

    def attributes(self) -> dict[str, str]:
        """Attribute name to value."""
        return {**vars(self.look), **vars(self.sound)}


def part_sizes(classes: int) -> dict[str, int]:
    """Number of classes in each part: about 60, 20 and 20 %.

    Unseen parts are even and hold four classes at least, so that their looks and sounds can cross.

    Raises:
        SettingError: fewer or more classes than the attributes allow.
    """
    if not SMALLEST <= classes <= LARGEST:
        raise SettingError(f"a world has {SMALLEST} to {LARGEST} classes, not {classes}")
    unseen = max(4, 2 * round(classes / 10))
    val = unseen if classes >= 12 else 2
    return {"train": classes - unseen - val, "val": val, "unseen": unseen}


def choose_classes(classes: int, generator: np.random.Generator) -> tuple[SceneClass, ...]:
    """Choose classes whose looks and sounds cross, so that neither alone tells them apart.

    In each part the classes walk a circle of looks and sounds: (look 0, sound 0), (look 0, sound 1),
    (look 1, sound 1), (look 1, sound 2), ... Each look is shared by two classes and so is each sound: whoever
    only sees, or only hears, is right half of the time at best. Half of the looks and sounds of the unseen
    parts are met in training in other company, the other half are new combinations of values met there.

    Args:
        classes: number of classes.
        generator: source of the choice.

    Returns:
        The classes, those of `"train"` first, then `"val"`, then `"unseen"`.

    Raises:
        SettingError: fewer or more classes than the attributes allow.
    """
    sizes = part_sizes(classes)
    # About five training classes per value; more values would leave too few examples of each.
    values = min(6, max(2, round(sizes["train"] / 5)))
    looks = _Pool([Look(*v) for v in product(COLOURS[:values], OBJECTS[:values], MOTIONS[:values])], generator)
    sounds = _Pool([Sound(*v) for v in product(RHYTHMS[:values], PITCHES[:values], TIMBRES[:values])], generator)
    number = sizes["train"]
    train_looks = [looks.draw() for _ in range((number + 1) // 2)]
    train_sounds = [sounds.draw() for _ in range(max(2, number // 2))]
    chosen = dict.fromkeys(_circle(train_looks, train_sounds, number), "train")
    for part in ("val", "unseen"):
        half = sizes[part] // 2
        new_looks = [looks.draw() for _ in range((half + 1) // 2)]
        new_sounds = [sounds.draw() for _ in range((half + 1) // 2)]
        while (
            pairs := _cross(train_looks, train_sounds, new_looks, new_sounds, sizes[part], chosen, generator)
        ) is None:
            # In a small world every known look meets every known sound in training already.
            new_sounds.append(sounds.draw())
        chosen.update(dict.fromkeys(pairs, part))
    return tuple(SceneClass(look, sound, part) for (look, sound), part in chosen.items())


def _circle(looks: Sequence[Look], sounds: Sequence[Sound], number: int) -> Iterator[tuple[Look, Sound]]:
    for i in range(number):
        yield looks[i // 2], sounds[(i + 1) // 2 % len(sounds)]


def _cross(
    old_looks: Sequence[Look],
    old_sounds: Sequence[Sound],
    new_looks: Sequence[Look],
    new_sounds: Sequence[Sound],
    number: int,
    taken: dict[tuple[Look, Sound], str],
    generator: np.random.Generator,
) -> list[tuple[Look, Sound]] | None:
    """A circle of new and known looks and sounds that holds no pair already taken; None when none is found."""
    for _ in range(_TRIES):
        looks = _complete(new_looks, old_looks, number // 2, generator)
        sounds = _complete(new_sounds, old_sounds, max(2, number // 2), generator)
        pairs = list(_circle(looks, sounds, number))
        if not taken.keys() & set(pairs):
            return pairs
    return None


def _complete(new: Sequence[T], old: Sequence[T], number: int, generator: np.random.Generator) -> list[T]:
    """The new ones and as many known ones as are missing, in random order."""
    known = generator.permutation(len(old))[: max(0, number - len(new))]
    together = [*new, *(old[i] for i in known)]
    return [together[i] for i in generator.permutation(len(together))]


class _Pool(Generic[T]):
    """Combinations of attribute values, drawn so that values and pairs of values occur about equally often."""

    def __init__(self, choices: Sequence[T], generator: np.random.Generator) -> None:
        self.left = [choices[i] for i in generator.permutation(len(choices))]
        self.used: dict[object, int] = {}

    def draw(self) -> T:
        """The least used combination that is left."""
        best: T = min(self.left, key=self._use)
        self.left.remove(best)
        for part in self._parts(best):
            self.used[part] = self.used.get(part, 0) + 1
        return best

    def _use(self, combination: T) -> tuple[int, int]:
        counts = [self.used.get(p, 0) for p in self._parts(combination)]
        return sum(c * c for c in counts[:3]), sum(c * c for c in counts[3:])

    @staticmethod
    def _parts(combination: T) -> list[object]:
        values = list(vars(combination).items())
        return [*values, *combinations(values, 2)]
