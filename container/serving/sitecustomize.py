"""Runs while Python starts, where the artifact's code folder is on its path.

In the process from which multi-model-server forks its workers it loads the model, before the
server answers its health check. Elsewhere it does nothing.
"""

import sys

# Not sys.argv, which Python has not filled yet.
if any(argument.endswith("model_service_worker.py") for argument in sys.orig_argv[1:3]):
    try:
        import inference  # type: ignore[import-not-found]

        inference.load_ahead()
    except Exception as error:
        # `model_fn` will find it again, and end the server.
        print(f"The model cannot be loaded ahead: {error!r}", file=sys.stderr, flush=True)
