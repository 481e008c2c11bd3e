"""The input, output and temp folders of users: read, and saved to, wherever they lie."""
