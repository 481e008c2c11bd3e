"""ControlNets, IP-Adapters and other models that steer a diffusion model."""
