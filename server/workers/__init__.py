"""Where runs are computed: a protocol, and what implements it."""
