"""What accounts keep here to send or to show: landing pages, templates, files."""
