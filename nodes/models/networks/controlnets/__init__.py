"""ControlNets and T2I-Adapters as networks."""
