"""The dashboard as data, and its queries as Grafana would send them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus import Client, Series

DASHBOARD = Path(__file__).resolve().parent / "espalier.json"


def load() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text())


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@dataclass
class Window:
    """What a person has chosen at the top of the dashboard: the time, in seconds since 1970, and how fine."""
    start: float
    end: float
    step: float
    scrape_interval: float

    def variables(self) -> dict[str, str]:
        return {"__interval": f"{self.step:g}s", "__range": f"{round(self.end - self.start)}s",
                "__rate_interval": f"{max(self.step + self.scrape_interval, 4 * self.scrape_interval):g}s"}


def fill_in(text: str, variables: dict[str, str]) -> str:
    """Replaces $name and ${name}; a name that nobody knows is an error."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: variables[match[1] or match[2]], text)


def variable_values(client: Client, dashboard: dict[str, Any]) -> dict[str, list[str]]:
    """What each variable of the dashboard offers, asked in turn as one's choice goes into the next one's query."""
    offered: dict[str, list[str]] = {}
    chosen: dict[str, str] = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()
        offered[variable["name"]] = client.label_values(fill_in(selector, chosen), label)
        chosen[variable["name"]] = value_of(variable)
    return offered


def value_of(variable: dict[str, Any]) -> str:
    """The choice that the dashboard comes with, as a regular expression."""
    values = variable["current"]["value"]
    return variable["allValue"] if values == ["$__all"] else "|".join(values)


def chosen_values(dashboard: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: value_of(variable) for variable in dashboard["templating"]["list"] if variable["type"] == "query"}


def run(client: Client, dashboard: dict[str, Any], target: dict[str, Any], window: Window) -> list[tuple[str, Series]]:
    """A query of a panel: its series and what the legend calls them."""
    expression = fill_in(target["expr"], {**chosen_values(dashboard), **window.variables()})
    series = (client.query(expression, window.end) if target["instant"] else
              client.query_range(expression, window.start, window.end, window.step))
    return [(re.sub(r"\{\{(\w+)\}\}", lambda match: row[0].get(match[1], ""), target["legendFormat"]), row) for row in series]
