"""A cluster that anybody may use is joined by those who say that they mean it."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import yaml
from markdown_blocks import blocks
from ray_head import Head, ray_head

ROOT = Path(__file__).parents[2]


def run(head: Head, config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raypipe", "run", str(config), "--address", head.address, *options],
        cwd=config.parent,
        env=head.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_ray_of_ours_listens_to_this_machine_alone(ray_cluster: None) -> None:
    here = psutil.Process()
    ours = {here.pid, *(child.pid for child in here.children(recursive=True))}
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")
        for connection in psutil.net_connections("tcp")
        if connection.pid in ours and connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_the_token_of_the_page_is_one_that_only_its_user_reads(tmp_path: Path) -> None:
    [block] = [block for block in blocks("cluster/README.md") if "token_hex" in block.text]
    token = tmp_path / "ray_token"
    line = block.text.replace("/run/secrets/ray_token", str(token))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", line], check=True, env=environment)
    assert re.fullmatch("[0-9a-f]{64}", token.read_text())
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


def test_a_cluster_without_a_token_is_refused_in_one_line_and_joined_if_told_so(
    corpus: Path, tmp_path: Path, runs: Any
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(runs.document(corpus, tmp_path / "out")))
    with ray_head(with_token=False) as head:
        refused = run(head, config)
        assert refused.returncode == 1
        assert "asks for no token: whoever reaches its ports runs code on it" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        joined = run(head, config, "--insecure")
    assert joined.returncode == 0, joined.stdout + joined.stderr
    # The head is gone: a run that is finished says so without it.
    again = run(head, config)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "utterances in = " in again.stdout
