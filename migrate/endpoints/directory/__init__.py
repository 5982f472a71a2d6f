"""The export directory: a source and a target on disk, in the format of docs/export-format.md.

It is the layout of mlflow-export-import, whose tools read it, with a file of our own beside each
run and logged model. What those tools wrote is read as well.
"""

from migrate.endpoints.directory.endpoint import ExportDirectory

__all__ = ["ExportDirectory"]
