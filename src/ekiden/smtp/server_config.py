"""What an SMTP server offers and demands: what the server machine is told of the listener that it is for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What one listener offers. Sizes in octets. Immutable, shared by all its connections."""

    hostname: str
    max_size: int = 20_971_520
    max_recipients: int = 1000
    tls_available: bool = False
    """STARTTLS is offered."""
    tls_active: bool = False
    """TLS began with the connection (port 465)."""
    require_tls: bool = True
    require_auth: bool = True
    require_hello: bool = False
    """MAIL needs HELO or EHLO first. Off by default: people who type the seed's dialogue leave it out."""
    auth_mechanisms: tuple[str, ...] = ("LOGIN", "PLAIN")
    max_errors: int = 20
    """So many mistakes without an accepted message in between end the session."""
    max_commands: int = 2000
    """So many commands without an accepted message in between end the session. Recipients that are accepted do not
    count, nor do chunks of some size: there can only be so many of them."""
    max_line: int = 4096
    ask_before_data: bool = False
    """DATA asks with ``DataStarting``; otherwise it is accepted by itself."""
    accept_bare_postmaster: bool = False
    """``RCPT TO:<postmaster>`` means postmaster at ``hostname`` (RFC 5321 §4.5.1); else 550."""
    reports: bool = True
    """DSN is offered (RFC 3461): whoever asks for reports gets them."""
    carrier_addresses: bool = True
    """Addresses of Japanese carriers may lack the quotes that they need (``core.address``)."""
    language: str = "en"
    """Of HELP: ``en``, or ``ja`` (UTF-8, only once EHLO was said)."""
