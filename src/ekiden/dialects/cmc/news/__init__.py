"""What event webhooks look like."""
