"""The script for Slurm, with stand-ins for Slurm's own commands, and with a real Ray."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "cluster" / "slurm.sh"
SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NODELIST": "node[1-2]",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_CPUS_PER_TASK": "3",
}
# srun takes its own options off and does the rest, as it would on one node.
SRUN = """#!/usr/bin/env bash
echo "srun $*" >>"$SAID"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
[ "$*" = "show hostnames node[1-2]" ] && printf "node1\\nnode2\\n"
"""
HOSTNAME = """#!/usr/bin/env bash
[ "$*" = "--all-ip-addresses" ] && echo "$ADDRESSES"
"""
STAND_INS = {"scontrol": SCONTROL, "hostname": HOSTNAME, "srun": SRUN}
RAY = """#!/usr/bin/env bash
echo "ray $*" >>"$SAID"
env | grep -E "^RAY_(AUTH|TMP)" >>"$SAID"
stat -c "token %a %s" "$RAY_AUTH_TOKEN_PATH" >>"$SAID"
[ -z "${NO_RAY:-}" ] || exit 0
while [ "$1" != -- ]; do shift; done
shift
"$@" || true  # whatever the command says, as srun might lose it
"""


def commands(folder: Path, scripts: Mapping[str, str]) -> Path:
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    (folder / "python").symlink_to(sys.executable)
    return folder


def submit(
    tmp_path: Path, *words: str, **variables: str
) -> tuple[subprocess.CompletedProcess[str], str]:
    """What the script said, and what was asked of Slurm and Ray."""
    folder = commands(tmp_path / "bin", {**STAND_INS, "ray": RAY})
    environment = {
        **SLURM,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SAID": str(tmp_path / "said"),
        "ADDRESSES": "10.1.2.3 fd00::1 ",
        **variables,
    }
    done = subprocess.run(
        ["bash", str(SCRIPT), *words], env=environment, capture_output=True, text=True, check=False
    )
    said = tmp_path / "said"
    assert not list(tmp_path.glob(".raypipe-*")), "what it wrote for itself is gone"
    return done, said.read_text(encoding="utf-8") if said.exists() else ""


def test_it_is_a_script_that_a_shell_can_read_and_slurm_can_start() -> None:
    assert SCRIPT.stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    lines = SCRIPT.read_text(encoding="utf-8").splitlines()
    first_command = next(at for at, line in enumerate(lines) if line and not line.startswith("#"))
    options = [at for at, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert options, "Slurm reads options of a script"
    assert max(options) < first_command, "up to its first command only"


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
def test_shellcheck_has_nothing_against_it() -> None:
    subprocess.run(["shellcheck", str(SCRIPT)], check=True)


def test_ray_starts_on_every_node_with_a_token_that_only_its_owner_reads(tmp_path: Path) -> None:
    done, said = submit(tmp_path, "echo", "two words", "$HOME;id")
    assert done.returncode == 0, done.stderr
    assert "two words $HOME;id\n" in done.stdout
    first, second, ray, *rest = said.splitlines()
    assert first == "srun --nodes=1 --ntasks=1 --nodelist=node1 hostname --all-ip-addresses"
    assert second.startswith("srun --nodes=2 --ntasks=2 --no-kill ray symmetric-run ")
    assert "--address 10.1.2.3:24711 --min-nodes 2 --num-cpus=3 --" in ray
    assert "RAY_AUTH_MODE=token" in rest
    assert "token 600 64" in rest


@pytest.mark.parametrize(
    ("addresses", "variables", "head"),
    [
        ("127.0.1.1 10.1.2.3 10.9.9.9", {}, "10.1.2.3"),
        ("fd00::1 169.254.3.4 192.168.0.7", {}, "192.168.0.7"),
        ("10.1.2.3", {"RAYPIPE_HEAD_ADDRESS": "ib0.node1"}, "ib0.node1"),
        ("", {"RAYPIPE_HEAD_ADDRESS": "10.5.5.5"}, "10.5.5.5"),
    ],
)
def test_the_head_has_an_address_that_other_nodes_reach(
    addresses: str, variables: dict[str, str], head: str, tmp_path: Path
) -> None:
    """A Debian machine has 127.0.1.1 for its own name."""
    done, said = submit(tmp_path, "true", ADDRESSES=addresses, **variables)
    assert done.returncode == 0, done.stderr
    assert f" --address {head}:24711 " in said


@pytest.mark.parametrize("addresses", ["", "127.0.0.1 ::1", "fd00::1"])
def test_without_such_an_address_it_says_so_and_starts_nothing(
    addresses: str, tmp_path: Path
) -> None:
    done, said = submit(tmp_path, "true", ADDRESSES=addresses)
    assert done.returncode == 1
    assert done.stderr.startswith("node1 has no IPv4 address")
    assert "RAYPIPE_HEAD_ADDRESS" in done.stderr
    assert "symmetric-run" not in said


@pytest.mark.parametrize("code", [0, 1, 7])
def test_its_code_is_the_commands(code: int, tmp_path: Path) -> None:
    done, _ = submit(tmp_path, "bash", "-c", f"exit {code}")
    assert done.returncode == code


def test_a_ray_that_does_not_start_is_no_success(tmp_path: Path) -> None:
    """``ray symmetric-run`` itself ends with 0 then."""
    done, _ = submit(tmp_path, "true", NO_RAY="1")
    assert done.returncode == 1


def test_without_a_command_it_says_how_it_is_used(tmp_path: Path) -> None:
    done, said = submit(tmp_path)
    assert (done.returncode, said) == (2, "")
    assert done.stderr.startswith("usage: sbatch ")


def test_ray_has_the_options_that_it_gives() -> None:
    from ray.scripts.scripts import start
    from ray.scripts.symmetric_run import symmetric_run

    line = SCRIPT.read_text(encoding="utf-8").replace("\\\n", " ")
    [given] = re.findall(r"ray symmetric-run (.+?) -- ", line)
    options = set(re.findall(r"--[a-z-]+", given))
    shown = CliRunner().invoke(symmetric_run, ["--help"]).output
    known = {option for parameter in symmetric_run.params for option in parameter.opts}
    known |= {option for parameter in start.params for option in parameter.opts}
    assert options <= known, shown
    assert not options & {"--head", "--node-ip-address", "--port", "--block"}


@pytest.mark.slow  # a cluster of its own, in namespaces, since Ray stops every Ray that it sees
def test_the_demo_goes_through_it(tmp_path: Path) -> None:
    isolated = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net"]
    if subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not allowed here")
    one_node = {**STAND_INS, "scontrol": "#!/usr/bin/env bash\necho node1\n"}
    folder = commands(tmp_path / "bin", one_node)
    for name in ("ray", "raypipe"):
        (folder / name).symlink_to(Path(sys.executable).with_name(name))
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("RAY_")},
        **SLURM,
        "SLURM_JOB_NUM_NODES": "1",
        "RAYPIPE_HEAD_ADDRESS": "127.0.0.1",
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "SAID": str(tmp_path / "said"),
    }
    command = f"ip link set lo up && bash {SCRIPT} raypipe demo runs --utterances 20 --address auto"
    done = subprocess.run(
        [*isolated, "bash", "-c", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    shutil.rmtree(f"/tmp/ray-{SLURM['SLURM_JOB_ID']}", ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 utterances in = 20 predicted" in done.stdout
    assert (tmp_path / "runs" / "report.html").is_file()
