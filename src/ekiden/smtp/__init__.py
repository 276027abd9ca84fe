"""SMTP as two sans-I/O state machines, server and client: bytes and decisions in, events and bytes out.

Nothing here owns a socket, a clock or a task. ``server`` and ``client`` are the machines; ``commands`` is the
server's table; ``reply``, ``path``, ``params`` and ``content`` are the grammar both share; ``dsn`` builds reports.
"""
