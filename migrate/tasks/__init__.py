"""Tasks own meaning: what must exist first, what is rewritten, what equal means.

One module per MLflow object kind. They ask endpoints for capabilities, never for their class.
"""
