"""Prompts: weights in parentheses, tokens, sections, text encoders."""
