"""`execution`: packs import it; what it does is the engine's own."""

from nodes.comfy.host.execution_graph import ExecutionBlocker as ExecutionBlocker
