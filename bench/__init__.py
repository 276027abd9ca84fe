"""The bench: the same load on Ekiden and on its peers, on one machine and in one run. See docs/benchmarks.md."""
