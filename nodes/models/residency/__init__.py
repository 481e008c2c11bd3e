"""Networks larger than their share of the device: their weights wait on the host, part by part."""
