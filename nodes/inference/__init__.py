"""Models at work: sampling, VAE calls and previews, with progress and retries."""
