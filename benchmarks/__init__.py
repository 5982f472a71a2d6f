"""Measures `migrate` against a lean replay of its requests and against another tool.

`python -m benchmarks` times copies between two real MLflow servers of this machine;
`python -m benchmarks.memory` reports how much memory a copy takes. `README.md` says how to read
both.
"""
