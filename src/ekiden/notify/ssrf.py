"""Where callbacks may go: the addresses of ``net.destinations``, and no port where another protocol is spoken."""

from __future__ import annotations

from typing import Final

from ekiden.core.said import say
from ekiden.net import destinations
from ekiden.notify.errors import ForbiddenDestination

# Ports on which something else than HTTP listens and may take a request for commands: the list of the Fetch
# standard (fetch.spec.whatwg.org, "port blocking").
# fmt: off
_BAD_PORTS: Final = frozenset((
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
    109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
    526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
    3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
))
# fmt: on


class Destinations(destinations.Destinations):
    """The policy of an installation for callbacks."""

    def check_port(self, port: int) -> None:
        """Raises ``ForbiddenDestination`` for a port where another protocol is spoken."""
        if port in _BAD_PORTS:
            raise ForbiddenDestination(say("bad_port", port=port))

    def check_address(self, text: str) -> None:
        """Raises ``ForbiddenDestination`` unless a callback may connect to the IP address."""
        why = self.refusal(text)
        if why is not None:
            raise ForbiddenDestination(say("bad_address", address=text, why=why))
