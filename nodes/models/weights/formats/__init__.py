"""The formats of weights in few bits: which there are, and the numbers that they stand for."""
