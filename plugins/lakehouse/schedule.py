"""When the DAGs that run by the clock begin."""

from __future__ import annotations

import os
from datetime import datetime

import pendulum

from clicklake.stack.airflow import BEGAN

ALWAYS = "2026-01-01T00:00:00+00:00"


def began() -> pendulum.DateTime:
    """The start date of a DAG whose first run is to wait for its time: when this Airflow was first started.

    With an older one Airflow makes up for the time before that at once: amid the start of all the rest, of which such a
    run can tell nothing yet, and which it slows down. Without one, a run is lost when its file is read just after it.
    """
    return pendulum.instance(datetime.fromisoformat(os.environ.get(BEGAN, ALWAYS))).in_timezone("UTC")
