"""What Ctrl-C does, each time in a process of its own.

In pytest's, walking the frames of an interrupt crashed Python 3.11.7 now and then.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import signal, sys, time
from faq_search.exits import raise_interrupts
raise_interrupts()
try:
    {interrupted}
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted", "swallows" in sys.modules)
"""


def run(interrupted, folder=ROOT):
    """What a program prints when `interrupted` interrupts it."""
    command = [sys.executable, "-X", "faulthandler", "-c", PROGRAM.format(interrupted=interrupted)]
    ended = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_an_interrupt_raises():
    assert run("signal.raise_signal(signal.SIGINT)") == "interrupted False\n"


def test_an_interrupt_waits_for_the_end_of_an_import(tmp_path):
    (tmp_path / "swallows.py").write_text(
        "import signal\n"
        "try:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "except BaseException:\n"
        "    pass\n"
    )
    assert run("import swallows", tmp_path) == "interrupted True\n"
