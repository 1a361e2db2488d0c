"""`python -m local_aws`: a local AWS until Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
import threading
from pathlib import Path

from local_aws.server import LocalAws


def main() -> int:
    """Serves until interrupted or terminated."""
    parser = argparse.ArgumentParser(prog="local_aws", description=__doc__)
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--state-dir", type=Path, help="default: a folder deleted at the end")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.state_dir or Path(scratch)
        with LocalAws(folder, port=arguments.port, region=arguments.region) as aws:
            sys.stdout.write(f"local AWS at {aws.endpoint_url}\n")
            sys.stdout.flush()
            stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
