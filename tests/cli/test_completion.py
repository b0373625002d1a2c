import os
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from geoalps.cli import main
from geoalps.cli.completion import SHELLS, command
from geoalps.plugins import names


@pytest.fixture
def program(tmp_path):
    """``geoalps`` on a PATH, the completion among its commands whatever the installation is."""
    script = tmp_path / "bin" / "geoalps"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\n"
        "from geoalps.cli import main as shell\n"
        "import sys\n"
        "from geoalps.cli.main import COMMANDS\n"
        "COMMANDS.setdefault('completion', 'made for this test')\n"
        "try:\n"
        "    shell()\n"
        "finally:\n"
        "    heavy = [n for n in ('torch', 'rasterio', 'numpy', 'dask', 'geopandas') if n in sys.modules]\n"
        "    assert not heavy, heavy\n"
    )
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}"}


def complete(environment, line):
    """What a real bash offers at TAB at the end of a line, in the way in which readline asks."""
    code = (
        'eval "$(geoalps completion bash)"\n'
        f"COMP_WORDS=({line}); COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}\n"
        '[[ "$COMP_LINE" == *" " ]] && COMP_WORDS+=("")\n'
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        "function=$(complete -p geoalps | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
        '"$function" geoalps\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    shell = [shutil.which("bash"), "--norc", "--noprofile", "-c", code]
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("geoalps tile", {"tile-label"}, {"segment"}),
        ("geoalps tile-label --seg", {"--segmenter"}, {"--seed"}),
        ("geoalps tile-label --segmenter ", {"regions", "sam", "sam-hub"}, {"auto"}),
        ("geoalps tile-label --segmenter sam", {"sam", "sam-hub"}, {"regions"}),
        ("geoalps tile-label --encoder d", {"dinov2", "dinov3"}, {"timm"}),
        ("geoalps segment --stretch ", {"auto", "percentile", "none"}, set()),
        ("geoalps completion ", set(SHELLS), set()),
    ],
)
def test_a_real_bash_completes(program, line, offered, not_offered):
    found = set(complete(program, line))
    assert offered <= found
    assert not found & not_offered


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_that_asks_this_program(shell):
    done = CliRunner().invoke(command, [shell])
    assert done.exit_code == 0
    assert f"_GEOALPS_COMPLETE={shell}_complete" in done.output
    checker = shutil.which(shell)
    if checker:
        subprocess.run([checker, "-n"], input=done.output, text=True, check=True)


def test_the_shell_is_that_of_the_environment():
    runner = CliRunner()
    assert runner.invoke(command, env={"SHELL": "/usr/bin/fish"}).output == runner.invoke(command, ["fish"]).output
    refused = runner.invoke(command, env={"SHELL": "/bin/tcsh"})
    assert refused.exit_code == 2
    assert "the shell is tcsh; give one of bash, zsh, fish" in refused.output


def test_segmenters_are_completed_from_what_is_installed():
    parameter = next(p for p in main.get_command(None, "tile-label").params if p.name == "segmenter")
    offered = parameter.shell_complete(click.Context(main), "")
    assert [item.value for item in offered] == names("segmenters")
