"""The version, once: banners, user agents and ``ekiden --version`` read it here."""

VERSION = "0.1.0"
