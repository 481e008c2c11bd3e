"""Pictures are decoded in a process of their own: what hostile ones do to it hurts nobody else."""
