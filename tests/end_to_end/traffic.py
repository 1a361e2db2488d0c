"""Callers who never stop asking, so that a lost request shows."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.end_to_end.local_app import LocalApp

_CALLERS = 4
_PAUSE_SECONDS = 0.1


@dataclass
class Traffic:
    """Four callers, each asking again as soon as it has its answer, without retries.

    statuses: how often each HTTP status came (0: no answer at all). bakes: how often each bake
    answered.
    """

    app: LocalApp
    statuses: Counter[int] = field(default_factory=Counter)
    bakes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._counting = threading.Lock()
        self._callers = [threading.Thread(target=self._ask) for _ in range(_CALLERS)]
        for caller in self._callers:
            caller.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for caller in self._callers:
            caller.join()

    @property
    def asked(self) -> int:
        return sum(self.statuses.values())

    def _ask(self) -> None:
        url = urlsplit(self.app.api["url"])
        headers = {"x-api-key": self.app.api["api_key"], "content-type": "application/json"}
        body = json.dumps({"queries": ["What is batch transform?"], "top_k": 1})
        assert url.hostname
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=40)
        while not self._ended.wait(_PAUSE_SECONDS):
            try:
                connection.request("POST", f"{url.path}/search", body, headers)
                answer = connection.getresponse()
                status, text = answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                status, text = 0, repr(error)
            with self._counting:
                self.statuses[status] += 1
                if status == 200:
                    self.bakes[json.loads(text)["bake_id"]] += 1
                else:
                    self.failures.append(text)
        connection.close()
