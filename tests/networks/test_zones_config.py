"""``[networks]`` of the configuration."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ekiden.config.load import ConfigError, build_config
from ekiden.networks.config import NetworkConfig
from ekiden.wiring.dialects import DIALECTS

GOOD = """
[networks.groups]
"service:kube" = ["192.0.2.1"]
"service:kube:fra" = ["192.0.2.0/24", "2001:db8::/32"]
"service:backup:dal" = ["192.0.2.1-192.0.2.9"]
"crn:v1:bluemix:public:is:us-south:a/1::vpc:r1" = []
[networks.services.kube]
display_name = "Kubernetes"
"""


def networks(text: str) -> NetworkConfig:
    return build_config(tomllib.loads(text), Path("/srv"), {}, source="ekiden.toml", dialects=DIALECTS).networks


def test_groups_and_services() -> None:
    found = networks(GOOD)
    assert found.groups["service:kube:fra"] == ("192.0.2.0/24", "2001:db8::/32")
    assert found.service_locations() == [("backup", "dal"), ("kube", ""), ("kube", "fra")]
    assert found.services["kube"].display_name == "Kubernetes"
    assert networks("") == NetworkConfig()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[networks.groups]\n"service:x" = ["host.example"]', "'host.example' in 'service:x' is not an address"),
        ('[networks.services.x]\ntype = "t"', "there is no group service:x"),
        ('[networks.groups]\n"service:xy" = []\n[networks.services.x]\ntype = "t"', "there is no group service:x"),
        ("[networks]\ngroup = {}", "unknown key"),
    ],
)
def test_mistakes_are_named(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        networks(text)
    assert "networks" in str(refused.value)
    assert problem in str(refused.value)
