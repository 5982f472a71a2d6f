"""The planner builds a graph of objects in small steps; progress walks it at run time.

The only place that knows networkx.
"""
