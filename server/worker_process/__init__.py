"""The program that runs in a worker process and computes runs."""
