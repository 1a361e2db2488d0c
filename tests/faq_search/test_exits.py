import signal
import sys
import time

import pytest

from faq_search.exits import raise_interrupts


@pytest.fixture(autouse=True)
def former_handlers():
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


def test_an_interrupt_raises():
    raise_interrupts()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_waits_for_the_end_of_an_import(tmp_path, monkeypatch):
    (tmp_path / "swallows.py").write_text(
        "import signal\n"
        "try:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "except BaseException:\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    raise_interrupts()
    with pytest.raises(KeyboardInterrupt):
        import swallows  # noqa: F401

        time.sleep(10)
    assert "swallows" in sys.modules
    del sys.modules["swallows"]
