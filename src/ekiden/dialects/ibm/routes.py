"""Which operation answers which request, under both base paths that clients use (contract §1.2, §2.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ekiden.dialects.ibm.call import IbmApi
from ekiden.dialects.ibm.errors import handle_error
from ekiden.dialects.ibm.operations import cbr, iam, metrics, smtp
from ekiden.dialects.ibm.operations.regions import list_regions
from ekiden.web.need import NO_BODY
from ekiden.web.operation import Operation, changes, reads

if TYPE_CHECKING:
    from ekiden.dialects.ibm.config import IbmConfig
    from ekiden.web.platform import Platform

BASES: Final = ("/v1/instances", "/event-notifications/v1/instances")
"""The second is what IBM's own host has before ``/v1``; clients may be given either."""

_CONFIG = "/smtp/config/{id:str}"
_USER = _CONFIG + "/users/{user_id:str}"
OPERATIONS: Final = (
    changes("POST", "/smtp/config", smtp.create_configuration),
    reads("/smtp/config", smtp.list_configurations),
    reads(_CONFIG, smtp.get_configuration),
    changes("PATCH", _CONFIG, smtp.update_configuration),
    changes("DELETE", _CONFIG, smtp.delete_configuration, need=NO_BODY),
    changes("PATCH", _CONFIG + "/verify", smtp.verify, need=NO_BODY),
    changes("POST", _CONFIG + "/users", smtp.create_user),
    reads(_CONFIG + "/users", smtp.list_users),
    reads(_USER, smtp.get_user),
    changes("PATCH", _USER, smtp.update_user),
    changes("DELETE", _USER, smtp.delete_user, need=NO_BODY),
    reads(_CONFIG + "/allowed_ips", smtp.get_allowed_ips),
    changes("PATCH", _CONFIG + "/allowed_ips", smtp.update_allowed_ips),
    reads(_CONFIG + "/records", smtp.get_records),
    reads(_CONFIG + "/questionnaire", smtp.get_questionnaire),
    changes("PUT", _CONFIG + "/questionnaire", smtp.put_questionnaire),
    reads("/metrics", metrics.get_metrics),
    reads("/metrics/bounce", metrics.get_bounces),
    reads("/notifications/{id:str}", metrics.get_status),
)


ENVELOPES: Final = {
    "/identity": iam.IamEnvelope(),
    "/regions": handle_error,
    "/v1": cbr.CbrEnvelope(),
    **dict.fromkeys(BASES, handle_error),
}


def ibm_api(services: Platform, settings: IbmConfig) -> IbmApi:
    """``web.dialect.Dialect.api``: Event Notifications, IAM, context-based restrictions and regions."""
    instances = [
        replace(item, path=f"{base}/{{instance_id:str}}{item.path}") for base in BASES for item in OPERATIONS
    ]
    regions = Operation("GET", "/regions", list_regions)
    return IbmApi(services, settings, (*instances, *cbr.OPERATIONS, *iam.OPERATIONS, regions), ENVELOPES)
