"""The state database: what a migration planned, did and mapped. The only writer of it.

Knows tasks and outcomes as plain values; no MLflow, no graph.
"""
