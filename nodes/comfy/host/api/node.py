"""The class that nodes of the v3 contract derive from, and what they return."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

from nodes.comfy.host.api.schema import Hidden, Schema
from nodes.comfy.values.convert import ExecutionBlocker


class NodeOutput:
    """The result of a node."""

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: dict[str, Any] | None = None,
        block_execution: str | None = None,
    ) -> None:
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        """Return the outputs."""
        return self.args or None

    def __getitem__(self, index: int) -> Any:
        return self.args[index]

    def as_returned(self) -> Any:
        """Return it as a class of the v1 contract does."""
        blocked = self.block_execution is not None
        outputs = ExecutionBlocker(self.block_execution) if blocked else self.args
        returned: dict[str, Any] = {"result": outputs}
        if self.ui is not None:
            returned["ui"] = self.ui.as_dict() if hasattr(self.ui, "as_dict") else self.ui
        return returned | ({"expand": self.expand} if self.expand else {})


class FromSchema:
    """An attribute of the v1 contract, read from the class's schema."""

    def __init__(self, read: Callable[[Schema], Any]) -> None:
        self._read = read

    def __get__(self, instance: object, owner: Any) -> Any:
        return self._read(owner.GET_SCHEMA())


class UnderOldName:
    """A method of the v1 contract that calls its v3 replacement where the class has one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: Any) -> Any:
        return getattr(owner, self._name, None)


class ComfyNode:
    """A node type of the v3 contract; its class methods do the work."""

    FUNCTION = "EXECUTE_NORMALIZED"
    RETURN_TYPES = FromSchema(lambda schema: tuple(o.type_name for o in schema.outputs or ()))
    RETURN_NAMES = FromSchema(lambda schema: tuple(o.display_name for o in schema.outputs or ()))
    OUTPUT_IS_LIST = FromSchema(lambda s: tuple(o.is_output_list for o in s.outputs or ()))
    OUTPUT_TEMPLATES = FromSchema(lambda s: tuple(o.template_id for o in s.outputs or ()))
    DISPLAY_NAME = FromSchema(lambda schema: schema.display_name)
    CATEGORY = FromSchema(lambda schema: schema.category)
    DESCRIPTION = FromSchema(lambda schema: schema.description)
    OUTPUT_NODE = FromSchema(lambda schema: schema.is_output_node)
    INPUT_IS_LIST = FromSchema(lambda schema: schema.is_input_list)
    DEPRECATED = FromSchema(lambda schema: schema.is_deprecated)
    EXPERIMENTAL = FromSchema(lambda schema: schema.is_experimental)
    VALIDATE_INPUTS = UnderOldName("validate_inputs")
    IS_CHANGED = UnderOldName("fingerprint_inputs")
    hidden: ClassVar[Any] = SimpleNamespace(**{item.name: None for item in Hidden})

    @classmethod
    def define_schema(cls) -> Schema:
        """Declare the node type.

        Raises:
            NotImplementedError: the class does not define it.
        """
        raise NotImplementedError

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """Return the declaration."""
        return cls.define_schema()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the declaration's inputs."""
        return cls.GET_SCHEMA().input_types()

    @classmethod
    def EXECUTE_NORMALIZED(cls, **inputs: Any) -> Any:
        """Run `execute`, with the hidden inputs set on the class."""
        schema = cls.GET_SCHEMA()
        hidden: dict[str, Any] = {item.name: None for item in Hidden}
        for item in schema.hidden or ():
            value = inputs.pop(item.name, None)
            hidden[item.name] = value[0] if schema.is_input_list and value else value
        for item in schema.inputs or ():
            if item is not None:
                item.gather(inputs)
        running: Any = type(cls.__name__, (cls,), {"hidden": SimpleNamespace(**hidden)})
        return running.execute(**inputs)
