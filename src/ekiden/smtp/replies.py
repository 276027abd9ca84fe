"""The texts a session hears from the server machine, each once. Wording as in the seeds' dialogue."""

from __future__ import annotations

from ekiden.smtp.reply import Reply

SENDER_OK = Reply.of(250, "2.1.0", "Ok")
RECIPIENT_OK = Reply.of(250, "2.1.5", "Ok")
OK = Reply.of(250, "2.0.0", "Ok")
START_CONTENT = Reply.of(354, "", "End data with <CR><LF>.<CR><LF>")
BYE = Reply.of(221, "2.0.0", "Bye")
CANNOT_VRFY = Reply.of(252, "2.0.0", "Send some mail, and we will try to deliver it")

READY_FOR_TLS = Reply.of(220, "2.0.0", "Ready to start TLS")
MUST_STARTTLS = Reply.of(530, "5.7.0", "Must issue a STARTTLS command first")
TLS_ALREADY = Reply.of(503, "5.5.1", "Error: TLS already active")
TLS_NOT_OFFERED = Reply.of(502, "5.5.1", "Error: STARTTLS is not offered here")

MUST_AUTH = Reply.of(530, "5.7.0", "Authentication required")
AUTH_OK = Reply.of(235, "2.7.0", "Authentication successful")
AUTH_FAILED = Reply.of(535, "5.7.8", "Error: authentication failed")
AUTH_ALREADY = Reply.of(503, "5.5.1", "Error: already authenticated")
AUTH_NOT_OFFERED = Reply.of(502, "5.5.1", "Error: AUTH is not offered here")
AUTH_CANCELLED = Reply.of(501, "5.7.0", "Authentication aborted")
AUTH_UNKNOWN = Reply.of(504, "5.5.4", "Error: unknown authentication mechanism")
AUTH_BAD_BASE64 = Reply.of(501, "5.5.2", "Error: bad base64 in the response")
AUTH_BAD_RESPONSE = Reply.of(501, "5.5.2", "Error: malformed response")
AUTH_LINE_TOO_LONG = Reply.of(500, "5.5.6", "Error: authentication exchange line is too long")
PROMPT = Reply.of(334, "", "")
PROMPT_USERNAME = Reply.of(334, "", "VXNlcm5hbWU6")  # base64 of "Username:"
PROMPT_PASSWORD = Reply.of(334, "", "UGFzc3dvcmQ6")  # base64 of "Password:"

UNKNOWN_COMMAND = Reply.of(500, "5.5.2", "Error: command not recognized")
NOT_IMPLEMENTED = Reply.of(502, "5.5.1", "Error: command not implemented")
LINE_TOO_LONG = Reply.of(500, "5.5.2", "Error: line too long")
BAD_CHARACTERS = Reply.of(500, "5.5.2", "Error: the command has control characters or is not UTF-8")
NO_SUCH_TOPIC = Reply.of(504, "5.5.4", "No help on that; say HELP for the list")
HELLO_FIRST = Reply.of(503, "5.5.1", "Error: send HELO or EHLO first")

NO_RECIPIENTS = Reply.of(554, "5.5.1", "No valid recipients")
TOO_MANY_RECIPIENTS = Reply.of(452, "4.5.3", "Error: too many recipients")
NO_NULL_RECIPIENT = Reply.of(501, "5.1.3", "Bad recipient address: it is empty")
NO_POSTMASTER = Reply.of(550, "5.1.1", "No mailbox here: postmaster needs a domain")
NUL_IN_CONTENT = Reply.of(554, "5.6.0", "The message has NUL octets")
BAD_BDAT = Reply.of(501, "5.5.4", "Syntax: BDAT size [LAST]; closing, the end of the chunk is unknown")
AFTER_BDAT = Reply.of(503, "5.5.1", "Error: BDAT has begun, only BDAT or RSET may follow")

TIMEOUT = Reply.of(421, "4.4.2", "Error: timeout exceeded")
TOO_MANY_ERRORS = Reply.of(421, "4.7.0", "Error: too many errors")
TOO_MANY_COMMANDS = Reply.of(421, "4.7.0", "Error: too many commands without a message")
SHUTTING_DOWN = Reply.of(421, "4.3.2", "Service shutting down")
NOT_SMTP = Reply.of(421, "4.7.0", "This is not the protocol spoken here")


def too_large(size: int, limit: int) -> Reply:
    """Of a message that has, or will have, ``size`` octets (RFC 1870 §6)."""
    if size > limit:
        return Reply.of(552, "5.3.4", f"Message size {size} exceeds the limit of {limit} octets")
    return Reply.of(552, "5.3.4", f"Message size exceeds the limit of {limit} octets once line ends are CRLF")
