"""The supervisor and its workers: signs of life, ports, metrics, logs, the set-up of an installation."""
