"""Models written back to files of the original layout."""
