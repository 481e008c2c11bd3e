"""What can be changed inside of a network, without its weights: see `nodes.values.Alteration`."""
