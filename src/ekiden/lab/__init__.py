"""The lab: an internet on loopback, for tests, demonstrations and documentation. See ``docs/lab.md``."""

from ekiden.lab.behaviour import Answer, Behaviour, LabError, MailHost, Mix, Report, Rule, Throttle
from ekiden.lab.lab import Lab, LabConfig, run_lab
from ekiden.lab.routes import Route

__all__ = [
    "Answer",
    "Behaviour",
    "Lab",
    "LabConfig",
    "LabError",
    "MailHost",
    "Mix",
    "Report",
    "Route",
    "Rule",
    "Throttle",
    "run_lab",
]
