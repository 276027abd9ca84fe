"""Infobip, and NTT CPaaS under its own name: the e-mail HTTP API of all generations, reports, and the SMTP API."""
