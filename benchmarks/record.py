"""Results that are kept: of each subject, those of the day when it was last measured."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .subjects import Figures, Target

__all__ = ["Measurement", "Record"]


@dataclass(frozen=True)
class Measurement:
    """What was measured of one subject."""

    day: str
    #: By contender, the median of each figure.
    medians: dict[str, Figures]
    #: Of the targets that are significant, by peer: how probable such runs are if both are equal.
    chances: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, day: str, runs: dict[str, list[Figures]], targets: Sequence[Target] = ()
    ) -> Measurement:
        """Return the medians of some runs of each contender."""
        medians = {contender: _medians(some) for contender, some in runs.items() if some}
        chances = {
            peer: _chance(runs[target.contender], runs[peer], target.figure)
            for target in targets
            if target.is_significant
            for peer in target.peers
            if {target.contender, peer} <= medians.keys()
        }
        return cls(day, medians, chances)

    def times_faster(self, ours: str, peer: str) -> float:
        """Return how many times faster ours is."""
        return self.medians[peer]["seconds"] / self.medians[ours]["seconds"]


@dataclass(frozen=True)
class Record:
    """Measurements with sites of one size."""

    #: The number of entries, and the size of a large value in MiB.
    entries: int
    value: int
    #: By day, the machine and the versions.
    machines: dict[str, Sequence[str]]
    #: By the name of a subject.
    measurements: dict[str, Measurement]

    @classmethod
    def read(cls, file: Path) -> Record:
        """Read a record that `write` wrote."""
        found = json.loads(file.read_bytes())
        measurements = {
            name: Measurement(**measurement)
            for name, measurement in found.pop("measurements").items()
        }
        return cls(**found, measurements=measurements)

    def write(self, file: Path) -> None:
        """Write the record as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    def updated_by(self, later: Record) -> Record:
        """Return a record with later measurements in place of those of the same subjects.

        Raises
        ------
        ValueError
            The sites of the other have another size.
        """
        if (self.entries, self.value) != (later.entries, later.value):
            raise ValueError(
                f"the record is of {self.entries:,} entries and {self.value:,} MiB: "
                f"measure with --entries {self.entries} --value {self.value}"
            )
        measurements = self.measurements | later.measurements
        days = {measurement.day for measurement in measurements.values()}
        machines = self.machines | later.machines
        return Record(
            self.entries,
            self.value,
            {day: machines[day] for day in sorted(days)},
            measurements,
        )


def _chance(ours: list[Figures], theirs: list[Figures], figure: str) -> float:
    """Return how probable it is that ours is that much larger if both are equal.

    By the one-sided test of Mann and Whitney, as of Go's benchstat; it assumes nothing about
    how the figures are distributed.
    """
    from scipy.stats import mannwhitneyu

    samples = ([run[figure] for run in runs] for runs in (ours, theirs))
    return float(mannwhitneyu(*samples, alternative="greater").pvalue)


def _medians(runs: list[Figures]) -> Figures:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}
