"""`execution`: an empty module, for packs that import it."""

from nodes.comfy.host.execution_graph import ExecutionBlocker as ExecutionBlocker
