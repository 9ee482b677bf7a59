"""Play what one hears: a timbre at a pitch in a rhythm, over hum, hiss, stray clicks and a quieter instrument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avzsl.world.scenes import RHYTHMS, Sound

Floats = npt.NDArray[np.float32]

# Hz; a factor of about 2.8 apart, jittered by a factor of 1.15 at most.
_PITCHES = {"low": 150.0, "medium": 430.0, "high": 1200.0}
_PITCH_JITTER = 0.2  # octaves
# Share of clips in which another instrument plays along, and its level against the one that counts, dB.
COMPANY_SHARE = 0.75
_COMPANY_LEVEL = (-14.0, -6.0)
_CEILING = 7200.0  # Hz; partials above would fold back at the default rate


@dataclass(frozen=True)
class _Timbre:
    """Partials and the course of one note.

    Attributes:
        partials: (frequency over the pitch, amplitude).
        attack: seconds to about two thirds of the full level.
        decay: seconds to about one third, where the rhythm leaves the time.
        vibrato: deviation of the pitch as a fraction.
        noise: level of noise around the pitch, beside the partials.
        width: width of that noise, octaves.
    """

    partials: tuple[tuple[float, float], ...]
    attack: float
    decay: float
    vibrato: float = 0.0
    noise: float = 0.0
    width: float = 0.3


_TIMBRES = {
    # Partials of a church bell: hum, prime, minor third, fifth, octave and above.
    "bells": _Timbre(
        ((0.5, 0.35), (1, 1), (1.19, 0.7), (1.5, 0.4), (2, 0.7), (2.74, 0.5), (3.0, 0.35), (3.76, 0.3), (4.07, 0.25)),
        attack=0.002,
        decay=0.28,
    ),
    "flutes": _Timbre(((1, 1), (2, 0.12), (3, 0.04)), attack=0.03, decay=0.2, vibrato=0.006, noise=0.12),
    "drums": _Timbre(((0.5, 0.12),), attack=0.001, decay=0.07, noise=1.0, width=0.6),
    "buzzers": _Timbre(tuple((n, n**-0.5) for n in range(1, 22, 2)), attack=0.004, decay=0.16),
    "strings": _Timbre(
        tuple((n * d, 0.7 / n) for n in range(1, 11) for d in (1, 1.006)), attack=0.06, decay=0.26, vibrato=0.01
    ),
    "organs": _Timbre(((0.5, 0.6), (1, 1), (2, 0.8), (4, 0.65), (8, 0.45)), attack=0.015, decay=0.22),
}
# Seconds from one group of notes to the next, and the notes of a group as (seconds after its start, loudness).
_GROUPS = {
    "slow": (0.68, ((0.0, 1.0),)),
    "fast": (0.18, ((0.0, 1.0),)),
    "galloping": (0.62, ((0.0, 0.65), (0.14, 0.65), (0.28, 1.0))),
    "stuttering": (0.95, tuple((0.07 * n, 1.0) for n in range(6))),
}


def play(
    sound: Sound, generator: np.random.Generator, *, seconds: float, rate: int, company: float = COMPANY_SHARE
) -> Floats:
    """Sound of one clip; everything but rhythm, pitch and timbre is drawn anew.

    Args:
        sound: rhythm, pitch and timbre.
        generator: source of tuning, tempo, loudness, hum, hiss and clicks.
        seconds: length.
        rate: Hz.
        company: probability of a second, quieter instrument.

    Returns:
        [seconds * rate] float32 in [-1, 1].
    """
    count = round(seconds * rate)
    times = np.arange(count, dtype=np.float32) / np.float32(rate)
    timbre = _TIMBRES[sound.timbre]
    pitch = _PITCHES[sound.pitch] * 2 ** generator.uniform(-_PITCH_JITTER, _PITCH_JITTER)
    wave = _level(
        _tone(timbre, pitch, generator, times, rate) * _loudness(sound.rhythm, timbre, generator, times, rate)
    )
    if generator.random() < company:
        wave += np.float32(10 ** (generator.uniform(*_COMPANY_LEVEL) / 20)) * _company(sound, generator, times, rate)
    wave += _surroundings(generator, times, rate)
    # Loudness of the whole varies by 18 dB; the loudest sample stays below full scale.
    wave *= np.float32(0.9 * 10 ** (generator.uniform(-18, 0) / 20) / float(np.abs(wave).max()))
    return wave


def _company(sound: Sound, generator: np.random.Generator, times: Floats, rate: int) -> Floats:
    """Another timbre at another pitch in another rhythm, of unit level."""
    rhythm, pitch, name = (
        str(generator.choice([n for n in names if n != own]))
        for names, own in ((RHYTHMS, sound.rhythm), (tuple(_PITCHES), sound.pitch), (tuple(_TIMBRES), sound.timbre))
    )
    tone = _tone(
        _TIMBRES[name], _PITCHES[pitch] * 2 ** generator.uniform(-_PITCH_JITTER, _PITCH_JITTER), generator, times, rate
    )
    return _level(tone * _loudness(rhythm, _TIMBRES[name], generator, times, rate))


def _level(wave: Floats) -> Floats:
    """The wave at unit level."""
    levelled: Floats = wave * np.float32(1 / max(1e-6, float(np.sqrt(np.mean(wave**2)))))
    return levelled


def _tone(timbre: _Timbre, pitch: float, generator: np.random.Generator, times: Floats, rate: int) -> Floats:
    """The timbre as an endless drone, about unit level."""
    bend = np.zeros_like(times)
    if timbre.vibrato:
        speed = generator.uniform(4.5, 6.5)
        bend = np.sin(np.float32(2 * np.pi * speed) * times) * np.float32(timbre.vibrato / (2 * np.pi * speed))
    wave = np.zeros_like(times)
    for ratio, level in timbre.partials:
        frequency = pitch * ratio
        if frequency < min(_CEILING, 0.45 * rate):
            phase = np.float32(2 * np.pi * frequency) * (times + bend) + np.float32(generator.uniform(0, 2 * np.pi))
            wave += np.float32(level * generator.uniform(0.85, 1.15)) * np.sin(phase)
    if timbre.noise:
        octaves = np.log2(np.maximum(np.fft.rfftfreq(len(times), 1 / rate), 1) / pitch)
        wave += np.float32(timbre.noise) * _noise(generator, len(times), np.exp(-((octaves / timbre.width) ** 2)))
    return wave


def _noise(generator: np.random.Generator, count: int, spectrum: npt.NDArray[np.float64]) -> Floats:
    """Noise of the given amplitude spectrum ([count // 2 + 1]) and unit level."""
    bins = generator.standard_normal((2, len(spectrum)), dtype=np.float32)
    wave = np.fft.irfft((bins[0] + 1j * bins[1]) * spectrum, count)
    return (wave / max(1e-12, float(np.sqrt(np.mean(wave**2))))).astype(np.float32)


def _loudness(rhythm: str, timbre: _Timbre, generator: np.random.Generator, times: Floats, rate: int) -> Floats:
    """Course of the loudness, [N] in [0, 1]."""
    tempo = generator.uniform(0.88, 1.14)
    if rhythm == "steady":
        slow = np.float32(2 * np.pi * generator.uniform(0.1, 0.25)) * times + np.float32(generator.uniform(0, 6))
        drone: Floats = 1 - np.float32(0.06) * (1 + np.sin(slow))
        return drone
    if rhythm == "swelling":
        phase = np.float32(np.pi * 0.75 * tempo) * times + np.float32(generator.uniform(0, np.pi))
        swell: Floats = np.float32(0.04) + np.float32(0.96) * np.sin(phase) ** 4
        return swell
    period, group = _GROUPS[rhythm]
    gap = min(b - a for (a, _), (b, _) in zip(group, (*group[1:], (period, 1.0)), strict=True)) * tempo
    # A note must have faded when the next begins, or the rhythm would drown in a slow timbre.
    decay, attack = min(timbre.decay, 0.45 * gap), min(timbre.attack, 0.15 * gap)
    note = times[: round(6 * decay * rate)]
    note = (1 - np.exp(-note / np.float32(attack))) * np.exp(-note / np.float32(decay))
    note /= note.max()
    course = np.zeros_like(times)
    start = -generator.uniform(0, period * tempo)
    while start < times[-1]:
        for after, level in group:
            first = round((start + after * tempo + generator.normal(0, 0.004)) * rate)
            level *= generator.uniform(0.85, 1.0)
            room = course[max(0, first) : max(0, first + len(note))]
            np.maximum(room, np.float32(level) * note[max(0, -first) :][: len(room)], out=room)
        start += period * tempo
    return course


def _surroundings(generator: np.random.Generator, times: Floats, rate: int) -> Floats:
    """Hiss, perhaps hum, perhaps a few clicks, relative to a tone of unit level."""
    frequencies = np.fft.rfftfreq(len(times), 1 / rate)
    colour = np.maximum(frequencies, 40) ** -generator.uniform(0, 1)
    wave: Floats = np.float32(10 ** (generator.uniform(-34, -12) / 20)) * _noise(generator, len(times), colour)
    if generator.random() < 0.5:
        hum = np.float32(2 * np.pi * generator.uniform(48, 110)) * times
        wave += np.float32(10 ** (generator.uniform(-30, -12) / 20)) * (np.sin(hum) + np.float32(0.5) * np.sin(2 * hum))
    for _ in range(int(generator.integers(0, 4))):
        length = round(generator.uniform(0.005, 0.02) * rate)
        first = int(generator.integers(0, len(times) - length))
        click = generator.standard_normal(length, dtype=np.float32) * np.linspace(1, 0, length, dtype=np.float32)
        wave[first : first + length] += np.float32(generator.uniform(0.2, 0.7)) * click
    return wave
