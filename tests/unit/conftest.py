"""What all unit tests share: how properties are tried, and the sum of what was swept, at the end of the session."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

# A busy machine is no failure; what hangs is ended by pytest-timeout.
settings.register_profile("unit", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    properties = [p for report in terminalreporter.getreports("passed") for p in report.user_properties]
    cases = [value for name, value in properties if name == "cases"]
    if cases:
        terminalreporter.write_line(f"crash sweep: {sum(cases)} cases in {len(cases)} scenarios")
