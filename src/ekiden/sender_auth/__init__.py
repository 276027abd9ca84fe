"""DKIM, SPF and DMARC, evaluated over values: no network, no clock; whoever calls brings DNS answers and the time."""
