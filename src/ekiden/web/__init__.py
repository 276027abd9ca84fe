"""What faces that speak HTTP have in common, whatever their language: how much of a request is read, and how."""
