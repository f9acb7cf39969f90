"""Real parts for tests and benchmarks: a server process, a kernel process, a JupyterLab with a browser."""
