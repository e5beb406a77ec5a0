"""The built-in jobs, which are examples too: each is a job file of a few lines (see tel-job(5))."""
