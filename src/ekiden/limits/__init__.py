"""Bounds that several rooms share: who may hold how much of what a worker has."""
