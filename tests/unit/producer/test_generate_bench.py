"""The bench of the generator runs and gives its figures."""

from __future__ import annotations

import subprocess
import sys

import orjson

from clicklake.settings import ROOT


def test_prints_events_per_cpu_second_and_the_ratio() -> None:
    command = [sys.executable, str(ROOT / "bench" / "generate.py"), "--rounds", "1", "--json"]
    figures = orjson.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert set(figures) == {"coherent", "independent", "plain_faker", "ratio"}
    assert figures["coherent"] > figures["plain_faker"] > 0
