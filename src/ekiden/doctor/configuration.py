"""The check of ``ekiden doctor`` on the configuration, beyond what reading it has refused."""

from __future__ import annotations

from ekiden.doctor.checks import Finding, Patient, find


async def check_configuration(patient: Patient) -> list[Finding]:
    config = patient.config
    if config.listeners or "smtp" not in config.workers.roles:
        return [find("config", "ok", "Configuration", "it can be read, and its keys fit together")]
    what = "there is no listener: nobody can submit mail"
    fix = "add [[listeners]] to the configuration; ekiden init writes an example"
    return [find("config", "warn", "Configuration", what, fix)]
