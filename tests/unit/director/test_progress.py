"""A step on a terminal: its name, its time, and the last line of its program."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

SCRIPT = """
import sys, time
from pathlib import Path
from runc_cpi.ctl.director.directory import StateDirectory
from runc_cpi.ctl.director.running import Runner
from runc_cpi.ctl.director.steps import Step, perform
directory = StateDirectory(Path(sys.argv[1]))
directory.prepare()
runner = Runner(directory)
def run():
    runner.run("program", ["sh", "-c", "printf 'a\\033b line\\n'; sleep 0.4"])
    return "made"
perform([Step("one", "make one", run, "")], runner, "x")
"""


def test_on_a_terminal(tmp_path: object) -> None:
    """While it is taken all is shown, and nothing that acts on the terminal."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", SCRIPT, f"{tmp_path}/d"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(argv, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        # A terminal whose other end is closed answers with an error.
        while True:
            try:
                shown += os.read(ours, 1 << 16)
            except OSError:
                break
        assert process.wait() == 0
    os.close(ours)
    text = shown.decode()
    assert "[1/1] one: make one" in text
    assert "0:00:00" in text
    assert "a\\x1bb line" in text
    assert "[1/1] one: made (0." in text
    assert "a\x1bb" not in text
