import os
from collections.abc import Iterator

import pytest

from tests.monitoring.cloudwatch_server import CloudWatchServer, cloudwatch_server


@pytest.fixture
def cloudwatch(moto: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudWatchServer]:
    """A server, and an environment that leads there and nowhere else; boto3 reads the process's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with cloudwatch_server(moto) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
