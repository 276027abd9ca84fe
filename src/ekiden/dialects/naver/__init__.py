"""NAVER Cloud Outbound Mailer: the signed REST API, version 1."""
