"""What callbacks and reports look like."""
