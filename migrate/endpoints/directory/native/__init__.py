"""Our own files: records as JSON, runs and logged models in the making, what lies beside them."""
