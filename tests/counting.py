"""What was counted, as a monitor reads it, and what a block of a test changed about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from tactics import metrics

Counts = dict[str, float]


def counts_of(text: str) -> Counts:
    """Read Prometheus' text format: name{label="value",…} → value; of histograms only how often."""
    found: Counts = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if not one.name.endswith(("_bucket", "_sum")):
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(one.labels.items()))
                found[f"{one.name}{{{labels}}}" if labels else one.name] = one.value
    return found


@contextmanager
def counting() -> Iterator[Counts]:
    """Give what changes within the block, filled in at its end."""
    changed: Counts = {}
    before = counts_of(metrics.shown().decode())
    yield changed
    after = counts_of(metrics.shown().decode())
    changed.update({name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)})
