"""Several servers over one queue: events, progress, cancelling and leases between processes."""
