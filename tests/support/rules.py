"""The rules of Prometheus as they are deployed, and what their expressions select.

Knows no Prometheus.
"""

import re
from typing import Any

import yaml

from tests.support.requires import ROOT

RULES = ROOT / "deploy/prometheus/rules"

SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*){([^}]+)}")
CHOICE = re.compile(r'(\w+)=~"([^"]*\|[^"]*)"')


def rules() -> list[dict[str, Any]]:
    """Give all rules, recording and alerting."""
    groups = [yaml.safe_load(file.read_text())["groups"] for file in sorted(RULES.glob("*.yml"))]
    return [rule for file in groups for group in file for rule in group["rules"]]


def selectors(expression: str) -> set[str]:
    """Give what an expression selects or leaves out by labels; of a choice of values, one for each."""
    found = {match[0] for match in SELECTOR.finditer(expression + expression.replace("!=", "="))}
    while choices := {text: choice for text in found if (choice := CHOICE.search(text))}:
        for text, choice in choices.items():
            found.remove(text)
            found |= {text.replace(choice[0], f'{choice[1]}="{value}"') for value in choice[2].split("|")}
    return found


def is_of_haproxy(selector: str) -> bool:
    """Tell what only a cluster with HAProxy can give, which is that of compose."""
    return "haproxy" in selector
