"""DKIM, SPF and DMARC, evaluated over values: whoever calls brings the DNS answers and the time."""
