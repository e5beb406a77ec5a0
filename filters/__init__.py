"""One module a tool: its usage text, then a short `work(run)`; all logic is in the library."""
