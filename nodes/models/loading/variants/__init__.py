"""The variants of a network: its weights with patches or in another dtype, and what they share."""
