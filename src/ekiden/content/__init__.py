"""What accounts keep here to send from: templates, files they uploaded, pages that links lead to."""
