"""Prompts to tokens to conditioning: tokenizers, prompt weights, textual inversion."""
