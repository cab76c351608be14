"""Stations on the island, and what they measured in a year."""

from datetime import date, timedelta
from typing import NamedTuple

from .grid import CELL_M, Grid, center, degrees
from .noise import ONE, dice, value_noise
from .places import ISLE, SUMMIT, UPLAND, Place
from .rivers import RIVER_NAMES, Stream, km2

FIRST_DAY = date(2025, 1, 1)
DAYS = 365
GAUGES = 3
SILENT_DAYS = 6
"""How long the second gauge is silent after the highest flood has carried it off."""

Row = list[str]


class Station(NamedTuple):
    """A place where something is measured."""

    name: str
    kind: str
    place: str
    cell: int
    catchment: int
    """Cells whose water passes a gauge; 0 for weather."""


def find_stations(places: list[Place], streams: list[Stream]) -> list[Station]:
    """Return weather stations at some of the places, and gauges on the largest rivers."""
    chosen = [p for p in places if p.name in (SUMMIT, UPLAND, ISLE)]
    chosen += [p for p in places if p.kind == "port"][:2]
    weather = [
        Station(f"W{number}", "weather", place.name, place.cell, 0)
        for number, place in enumerate(chosen, 1)
    ]
    gauges = [
        Station(f"G{number}", "discharge", name, stream.cells[-5], stream.catchment)
        for number, (name, stream) in enumerate(zip(RIVER_NAMES, streams[:GAUGES], strict=False), 1)
    ]
    return weather + gauges


def station_rows(stations: list[Station], height: Grid) -> list[Row]:
    """Return a row for each station, below a row of column names."""
    rows = [["station", "kind", "place", "longitude", "latitude", "elevation_m", "catchment_km2"]]
    for station in stations:
        x, y = center(station.cell)
        rows.append([
            station.name, station.kind, station.place, f"{degrees(x):.5f}", f"{degrees(y):.5f}",
            str(height[station.cell]),
            f"{km2(station.catchment):.2f}" if station.catchment else "",
        ])  # fmt: skip
    return rows


def weather_rows(stations: list[Station], height: Grid) -> list[Row]:
    """Return a row for each day and weather station, below a row of column names."""
    rows = [["date", "station", "t_min_c", "t_mean_c", "t_max_c", "rain_mm"]]
    for day in range(DAYS):
        for number, station in enumerate(stations):
            if station.kind == "weather":
                low, mean, high = _temperatures(day, number, height[station.cell])
                rain = _rain(day, number, height[station.cell])
                rows.append([_date(day), station.name, *map(_tenths, (low, mean, high, rain))])
    return rows


def discharge_rows(stations: list[Station]) -> list[Row]:
    """Return a row for each day and gauge, below column names; what is missing is empty."""
    gauges = [station for station in stations if station.kind == "discharge"]
    flows = [_discharge(gauge.catchment, number) for number, gauge in enumerate(gauges)]
    flood = flows[1].index(max(flows[1]))
    rows = [["date", "station", "discharge_l_s"]]
    for day in range(DAYS):
        for number, gauge in enumerate(gauges):
            lost = number == 1 and 0 < day - flood <= SILENT_DAYS
            rows.append([_date(day), gauge.name, "" if lost else str(flows[number][day])])
    return rows


def _temperatures(day: int, number: int, elevation: int) -> tuple[int, int, int]:
    """Return the lowest, mean and highest temperature of a day in tenths of a degree Celsius."""
    spell = (value_noise(day, 0, 6, 101) - ONE // 2) * 90 // ONE
    local = (dice(day, number, 103) - ONE // 2) * 12 // ONE
    # It gets colder by 0.65 degrees every 100 m.
    mean = 112 + 62 * _season(day) // 1000 + spell + local - 65 * elevation // 1000
    span = 18 + dice(day, number, 107) * 25 // ONE + 12 * _season(day) // 1000
    return mean - span, mean, mean + span + dice(day, number, 109) * 10 // ONE


def _season(day: int) -> int:
    """Return -1000 in the coldest days of January, 1000 half a year later, and a sine between.

    The sine is Bhaskara's (7th century), which needs no more than whole numbers.
    """
    angle = (day - 115) % DAYS * 360 // DAYS
    half = angle % 180 * (180 - angle % 180)
    return (1 if angle < 180 else -1) * 4000 * half // (40_500 - half)


def _rain(day: int, number: int, elevation: int) -> int:
    """Return the rain of a day in tenths of a millimeter: the same fronts for all, more above."""
    front = max(value_noise(day, 1, 3, 113) + _winter(day) - ONE * 56 // 100, 0)
    local = ONE * 3 // 4 + dice(day, number, 127) // 2
    return front * 620 // ONE * local // ONE * (1500 + elevation) // 1500


def _winter(day: int) -> int:
    """Return how much closer the fronts pass in winter, in parts of `ONE`."""
    return -ONE * _season(day) // 12_000


def _discharge(catchment: int, number: int) -> list[int]:
    """Return the mean discharge of each day in liters a second, from the rain and two stores."""
    area_m2 = catchment * CELL_M * CELL_M
    quick, slow = 0, area_m2 // 40_000
    flows = []
    for day in range(DAYS):
        # A tenth of a millimeter on a square meter is a tenth of a liter; a third evaporates.
        inflow = _rain(day, 50 + number, 600) * area_m2 // (10 * 86_400) * 2 // 3
        quick = (quick * 45 + inflow * 50) // 100
        slow = (slow * 970 + inflow * 12) // 1000
        flows.append(quick + slow)
    return flows


def _date(day: int) -> str:
    """Return the day of the year as a date."""
    return (FIRST_DAY + timedelta(days=day)).isoformat()


def _tenths(value: int) -> str:
    """Return tenths as a decimal number."""
    return f"{value / 10:.1f}"
