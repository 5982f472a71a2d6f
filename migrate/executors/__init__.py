"""Where batches are carried out: in this process, in others of this machine, on a Dask cluster."""
