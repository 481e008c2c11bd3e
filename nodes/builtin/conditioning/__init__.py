"""Nodes that make and change conditioning: prompts, ControlNets, adapters, inpainting."""
