"""What comes in by socket: SMTP sessions and HTTP/1.1 connections, and their bounds."""
