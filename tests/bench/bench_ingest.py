"""Memory and speed of an ingest: python tests/bench/bench_ingest.py [COUNT ...].

Makes CREMA-D folders of short generated clips (1 to 2 s, 16 kHz, 16 bits), ingests each with FLAC
and as found, on a local Ray, and prints one JSON line each: peak resident memory (VmHWM) of the
driver and of the largest Ray worker, clips per second, CPU seconds per clip of the workers.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
DISTINCT = 200  # recordings; the others are links to them
LETTERS = "ADFHNS"
SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        ingest_here(*sys.argv[2:])
        return
    counts = [int(text) for text in sys.argv[1:]] or [2_000, 20_000]
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as folder:
        for count in counts:
            corpus = Path(folder, f"crema-d-{count}")
            make_corpus(corpus, count)
            for audio in ("flac", "original"):
                output = Path(folder, f"{audio}-{count}")
                print(json.dumps(measured(corpus, output, audio, count)), flush=True)


def make_corpus(folder: Path, count: int) -> None:
    """A vote table and as many clips, of which only some are different."""
    drawn = np.random.default_rng(0)
    recordings = [speech_like(drawn) for _ in range(DISTINCT)]
    (folder / "AudioWAV").mkdir(parents=True)
    (folder / "processedResults").mkdir()
    lines = ['"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"']
    for number in range(count):
        actor, sentence = number // len(SENTENCES), SENTENCES[number % len(SENTENCES)]
        name = f"1{actor % 1000:03d}_{sentence}_{'ABCDE'[actor // 1000]}NG_HI"
        votes = [0] * 6
        winner = number % 6
        votes[winner], votes[(winner + 1) % 6] = 6, 3
        cells = ",".join(map(str, votes))
        lines.append(f'"{100_000 + number}",{cells},"{name}",9,0.667,"{LETTERS[winner]}"')
        path = folder / "AudioWAV" / f"{name}.wav"
        if number < DISTINCT:
            path.write_bytes(recordings[number])
            recordings[number] = path
        else:
            os.link(recordings[number % DISTINCT], path)
    (folder / "processedResults/tabulatedVotes.csv").write_text("\n".join(lines) + "\n")


def speech_like(drawn: np.random.Generator) -> bytes:
    """Harmonics with a slow envelope and some noise: as hard to pack as speech."""
    time_s = np.arange(round(drawn.uniform(1, 2) * RATE)) / RATE
    pitch = drawn.uniform(90, 250)
    voice = sum(np.sin(2 * np.pi * pitch * k * time_s) / k for k in range(1, 12))
    envelope = 0.1 * (1 + np.sin(2 * np.pi * drawn.uniform(2, 5) * time_s))
    samples = envelope * (voice + 0.05 * drawn.standard_normal(len(time_s)))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def measured(corpus: Path, output: Path, audio: str, count: int) -> dict[str, object]:
    """Run one ingest in a process of its own and watch its whole family."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--child", str(corpus), str(output), audio],
        stdout=subprocess.PIPE,
        text=True,
    )
    watch = Watch(child.pid)
    watch.start()
    assert child.stdout is not None
    told = child.stdout.read()
    watch.stop()
    assert child.wait() == 0, told
    seconds = json.loads(told.splitlines()[-1])["seconds"]
    size = sum(path.stat().st_size for path in output.glob("shard-*.parquet"))
    return {
        "clips": count,
        "audio": audio,
        "driver_peak_MB": round(watch.driver_kb / 1024),
        "largest_worker_peak_MB": round(max(watch.workers_kb.values()) / 1024),
        "workers": len(watch.workers_kb),
        "seconds": seconds,
        "clips_per_s": round(count / seconds, 1),
        "worker_cpu_ms_per_clip": round(1000 * sum(watch.workers_cpu_s.values()) / count, 2),
        "shards_MB": round(size / 1e6, 1),
        "load": os.getloadavg()[0],
    }


def ingest_here(corpus: str, output: str, audio: str) -> None:
    from rich.console import Console

    from raypipe.runtime.ingest.config import IngestConfig
    from raypipe.runtime.ingest.job import ingest
    from raypipe.runtime.ray.session import ray_session

    config = IngestConfig(corpus="crema-d", source=corpus, output=output, audio=audio)
    with ray_session():
        start = time.monotonic()
        index = ingest(config, console=Console(file=io.StringIO()))
        seconds = round(time.monotonic() - start, 1)
    assert index.failures == 0
    print(json.dumps({"seconds": seconds, "rows": index.rows}))


class Watch(threading.Thread):
    """Peak memory and CPU time of a process and of the Ray workers that come from it."""

    def __init__(self, driver: int) -> None:
        super().__init__(daemon=True)
        self._driver, self._over = driver, threading.Event()
        self.driver_kb = 0
        self.workers_kb: dict[int, int] = {}
        self.workers_cpu_s: dict[int, float] = {}

    def run(self) -> None:
        while not self._over.wait(0.2):
            self.driver_kb = max(self.driver_kb, peak_kb(self._driver))
            for worker in descendants(self._driver):
                if command(worker).startswith("ray::"):
                    self.workers_kb[worker] = max(self.workers_kb.get(worker, 0), peak_kb(worker))
                    self.workers_cpu_s[worker] = max(
                        self.workers_cpu_s.get(worker, 0.0), cpu_s(worker)
                    )

    def stop(self) -> None:
        self._over.set()
        self.join()


def descendants(process: int) -> Iterator[int]:
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return
    for child in map(int, found):
        yield child
        yield from descendants(child)


def command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def peak_kb(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line), 0)


def cpu_s(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
