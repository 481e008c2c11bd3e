"""Models on the hub: find the right file, pin its commit, download what is lacking."""
