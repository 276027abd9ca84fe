"""Projects, SMTP configurations and their users."""
