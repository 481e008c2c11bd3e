"""The command `nodegraph models`: list, inspect, verify and download model files."""
