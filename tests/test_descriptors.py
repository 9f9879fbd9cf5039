"""Known sounds have the measurements that were put there; real speech has plausible ones."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from raypipe.audio import decode
from raypipe.descriptors import describe
from raypipe.errors import DecodeError
from raypipe.records import Descriptors, FloatArray

RATE = 16_000


def voice(
    pitch_hz: float, duration_s: float, rate: int = RATE, loudness: float = 0.1
) -> FloatArray:
    """A buzz like that of vocal folds: harmonics that get weaker."""
    time_s = np.arange(round(duration_s * rate)) / rate
    parts = [np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 7)]
    return (loudness * np.sum(parts, axis=0)).astype(np.float32)


def silence(duration_s: float) -> FloatArray:
    return np.zeros(round(duration_s * RATE), np.float32)


@pytest.mark.parametrize(
    ("pitch_hz", "rate"), [(75.0, 16_000), (120.0, 8_000), (220.0, 24_000), (410.0, 16_000)]
)
def test_a_steady_voice_has_its_pitch_at_any_rate(pitch_hz: float, rate: int) -> None:
    found = describe(voice(pitch_hz, 0.8, rate), rate)
    for value in (found.pitch_mean_hz, found.pitch_low_hz, found.pitch_high_hz):
        assert value == pytest.approx(pitch_hz, rel=0.012)  # the grid has steps of 0.2 semitones
    assert found.pitch_range_semitones == pytest.approx(0, abs=0.3)


def test_a_glide_has_its_range() -> None:
    time_s = np.arange(2 * RATE) / RATE
    rising = 150 * 2 ** (time_s / 2)  # an octave in two seconds
    phase = 2 * np.pi * np.cumsum(rising) / RATE
    glide = (0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 7)], axis=0)).astype(np.float32)
    found = describe(glide, RATE)
    assert found.pitch_range_semitones == pytest.approx(0.9 * 12, abs=0.3)
    assert found.pitch_mean_hz == pytest.approx(150 / np.log(2), rel=0.01)  # of 150 * 2 ** t


@pytest.mark.parametrize(("amplitude", "level_db"), [(1.0, -3.01), (0.1, -23.01), (0.001, -63.01)])
def test_a_sine_has_the_level_of_its_power(amplitude: float, level_db: float) -> None:
    sine = (amplitude * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)).astype(np.float32)
    found = describe(sine, RATE)
    assert found.level_mean_db == pytest.approx(level_db, abs=0.1)
    assert found.level_range_db == pytest.approx(0, abs=0.5)


def test_louder_and_softer_parts_are_the_level_s_range() -> None:
    loud = np.concatenate([voice(150, 1.0, loudness=0.1), voice(150, 1.0, loudness=0.02)])
    assert describe(loud, RATE).level_range_db == pytest.approx(20 * np.log10(5), abs=1)


def test_pauses_are_counted_between_sounds_and_only_if_they_are_long() -> None:
    gaps_s = [0.4, 0.1, 0.6]
    parts = [silence(0.5)]
    for gap_s in gaps_s:
        parts += [voice(140, 0.5), silence(gap_s)]
    found = describe(np.concatenate([*parts, voice(140, 0.5), silence(0.7)]), RATE)
    assert found.pause_count == 2
    assert found.pause_s == pytest.approx(1.0, abs=0.04)
    assert found.speech_s == pytest.approx(4 * 0.5 + 0.1, abs=0.06)
    assert found.duration_s == pytest.approx(0.5 + 4 * 0.5 + sum(gaps_s) + 0.7)


@pytest.mark.parametrize("rate_hz", [2.0, 4.0, 7.0])
def test_syllables_are_counted(rate_hz: float) -> None:
    time_s = np.arange(3 * RATE) / RATE
    swell = 0.55 - 0.45 * np.cos(2 * np.pi * rate_hz * time_s)
    found = describe((voice(130, 3.0) * swell).astype(np.float32), RATE)
    assert found.syllables_per_s == pytest.approx(rate_hz, abs=0.1)
    assert found.pause_count == 0


def test_one_long_sound_is_one_syllable() -> None:
    found = describe(voice(100, 2.0), RATE)
    assert found.syllables_per_s == pytest.approx(0.5, abs=0.01)


def test_noise_has_a_level_but_no_pitch_and_no_syllables() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    found = describe(noise, RATE)
    assert found.level_mean_db == pytest.approx(-20, abs=0.3)
    assert found.speech_s == pytest.approx(2.0, abs=0.02)
    assert (found.pitch_mean_hz, found.pitch_range_semitones, found.syllables_per_s) == (None,) * 3


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_silence_is_measured_as_such(offset: float) -> None:
    found = describe(silence(1.0) + np.float32(offset), RATE)
    assert found == Descriptors(1.0, 0.0, None, None, None, None, None, None, 0, 0.0)


def test_a_click_is_a_sound_without_pitch() -> None:
    click = silence(1.0)
    click[RATE // 2] = 1.0
    found = describe(click, RATE)
    assert found.speech_s < 0.05
    assert found.pitch_mean_hz is None


def test_where_nothing_can_be_measured_it_is_refused() -> None:
    for clip in (silence(0.0), voice(200, 0.05)):
        with pytest.raises(DecodeError, match=r"less than 0\.1 s") as error:
            describe(clip, RATE)
        assert error.value.code == "too_short"
    broken = voice(200, 0.5)
    broken[100] = np.nan
    with pytest.raises(DecodeError, match="not finite"):
        describe(broken, RATE)
    assert describe(voice(200, 0.1), RATE).pitch_mean_hz == pytest.approx(200, rel=0.02)


def test_a_long_clip_is_measured_in_pieces_without_a_seam() -> None:
    clip = np.concatenate([voice(110, 20.0), voice(220, 20.01)])  # pYIN gets 20 s at a time
    found = describe(clip, RATE)
    assert (found.pitch_low_hz, found.pitch_high_hz) == (
        pytest.approx(110, rel=0.012),
        pytest.approx(220, rel=0.012),
    )
    assert found.pitch_mean_hz == pytest.approx(165, rel=0.012)
    assert found.pause_count == 0


@pytest.mark.parametrize("speaker", ["03", "13"])
def test_real_voices_are_higher_in_anger_and_slower_in_sadness(
    shared_data: Path, speaker: str
) -> None:
    """Of Emo-DB's speakers 03 is a man, 13 a woman."""
    found: dict[str, list[Descriptors]] = defaultdict(list)
    for path in sorted((shared_data / "emodb").glob(f"{speaker}*.wav")):
        if path.stem[5] in "WNT" and len(found[path.stem[5]]) < 4:
            found[path.stem[5]].append(
                describe(decode(path.read_bytes(), sampling_rate=RATE), RATE)
            )

    def mean(emotion: str, name: str) -> float:
        return float(np.mean([getattr(one, name) for one in found[emotion]]))

    assert all(one.pitch_mean_hz is not None for some in found.values() for one in some)
    assert (90 if speaker == "03" else 150) < mean("N", "pitch_mean_hz")
    assert mean("N", "pitch_mean_hz") < (150 if speaker == "03" else 230)
    assert mean("W", "pitch_mean_hz") > 1.4 * mean("N", "pitch_mean_hz")
    assert mean("T", "syllables_per_s") < 0.85 * mean("N", "syllables_per_s")
    assert 4.5 < mean("N", "syllables_per_s") < 7.0


def test_one_process_at_a_time_compiles(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from raypipe.descriptors import describe; print('ready', flush=True);"
        "print(describe(np.ones(16_000, np.float32), 16_000).pause_count)"
    )
    with (tmp_path / f"raypipe-compiling-{os.getuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(3)
    said, _ = other.communicate(timeout=300)
    assert (other.returncode, said) == (0, "0\n")
