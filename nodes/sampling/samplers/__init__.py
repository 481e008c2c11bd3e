"""Samplers: generators that ask for x0 at a sigma, one family of methods a file."""
