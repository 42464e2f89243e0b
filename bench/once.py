"""The bare job with the one demand that a copy of an event does not count: what no stream can do without."""

from __future__ import annotations

from bench.bare import submit

ONCE = """(
  SELECT *, COUNT(*) OVER (PARTITION BY event_id ORDER BY arrived_at) AS copies
  FROM (SELECT *, PROCTIME() AS arrived_at FROM bare_events)
)
WHERE copies = 1"""

if __name__ == "__main__":
    submit(ONCE)
