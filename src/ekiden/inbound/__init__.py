"""Mail that comes in: who may send us what, what reports say, where the rest goes."""
