"""The benchmark of clstm: `python -m bench --help`, or bench/README.md for the method."""
