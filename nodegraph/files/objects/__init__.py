"""Folders in an object store: S3 and what speaks its language, and Azure Blob Storage."""
