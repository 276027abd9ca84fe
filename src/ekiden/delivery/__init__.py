"""From the queue to the recipients' servers: routing, sessions, verdicts, outcomes; traces, bulks, what is told."""
