"""Nodes that sample: KSampler, custom sampling, guiders, schedulers, model sampling."""
