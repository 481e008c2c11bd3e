"""Workers that compute runs: the protocol, and a worker in a local process."""
