"""The problems and remarks of validation, one class for each cause."""

import math
from collections.abc import Iterable, Sequence

from nodegraph.errors import LONGEST_SHOWN, NodeGraphError, nearest, short_repr
from nodegraph.graph.graph import Link, NodeId
from nodegraph.graph.spec import InputSpec


def as_detail(value: object) -> object:
    """Return a value as an error's details carry it: short JSON."""
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**64):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return value if isinstance(value, str) and len(value) <= LONGEST_SHOWN else short_repr(value)


class NoOutputsError(NodeGraphError):
    """The graph has no output node, so there is nothing to run."""

    code = "prompt_no_outputs"

    def __init__(self) -> None:
        super().__init__(
            "the workflow has no output node.",
            hint="Add one that shows or saves its input, such as SaveImage.",
        )


class UnknownTargetError(NodeGraphError):
    """The node that is asked for is not in the graph."""

    code = "unknown_target"

    def __init__(self, target: NodeId, known: Iterable[NodeId]) -> None:
        hint = nearest(target, known)
        super().__init__(f"there is no node {short_repr(target)} to run.", hint=hint)


class CycleError(NodeGraphError):
    """The links form a loop, so no order of execution exists."""

    code = "cycle"

    def __init__(self, path: Sequence[NodeId]) -> None:
        loop = [*path, path[0]]
        ends = [*loop[:10], "…", *loop[-3:]] if len(loop) > LONGEST_SHOWN else loop
        super().__init__(
            f"the graph loops: {' -> '.join(ends)}.",
            hint="Remove one of these links.",
            node_id=path[0],
            details={"path": ends},
        )


class InputError(NodeGraphError):
    """A problem of one input; the base of the classes below."""

    def __init__(
        self, node_id: NodeId, input_name: str, message: str, hint: str = "", **details: object
    ) -> None:
        super().__init__(
            f"input {short_repr(input_name)} {message}",
            hint=hint,
            node_id=node_id,
            input_name=input_name,
            details=details,
        )


class RequiredInputMissingError(InputError):
    """A required input is not given."""

    code = "required_input_missing"


class BadLinkedInputError(InputError):
    """A list that is neither a link nor wanted as a list."""

    code = "bad_linked_input"

    def __init__(self, node_id: NodeId, input_name: str, value: object) -> None:
        super().__init__(
            node_id,
            input_name,
            f"is no link: {short_repr(value)}.",
            'A link is ["node id", output number]; a list of values {"__value__": […]}.',
            received_value=as_detail(value),
        )


class LinkError(InputError):
    """A link that cannot be followed."""

    def __init__(
        self,
        node_id: NodeId,
        input_name: str,
        link: Link,
        message: str,
        hint: str = "",
        **details: object,
    ) -> None:
        linked = [link.source, link.output]
        super().__init__(node_id, input_name, message, hint, linked_node=linked, **details)


class LinkToMissingNodeError(LinkError):
    """A link comes from a node that does not exist."""

    code = "link_to_missing_node"


class LinkOutputOutOfRangeError(LinkError):
    """A link comes from an output that its node does not have."""

    code = "link_output_out_of_range"


class ReturnTypeMismatchError(LinkError):
    """A link joins an output to an input of another type."""

    code = "return_type_mismatch"


class InputValueError(InputError):
    """A literal that the input does not take."""

    def __init__(
        self,
        node_id: NodeId,
        input_name: str,
        value: object,
        message: str,
        hint: str = "",
    ) -> None:
        super().__init__(node_id, input_name, message, hint, received_value=as_detail(value))


class InvalidInputTypeError(InputValueError):
    """A literal of a type that the input does not take and that converts only with loss."""

    code = "invalid_input_type"


class ValueTooSmallError(InputValueError):
    """A number below the input's minimum."""

    code = "value_smaller_than_min"


class ValueTooBigError(InputValueError):
    """A number above the input's maximum."""

    code = "value_bigger_than_max"


class ValueNotInListError(InputValueError):
    """A value that is not one of the choices."""

    code = "value_not_in_list"

    def __init__(
        self,
        node_id: NodeId,
        spec: InputSpec,
        value: object,
        message: str,
        hint: str = "",
    ) -> None:
        super().__init__(node_id, spec.name, value, message, hint)
        self.registered = spec.registered
        """The kind of names, such as `samplers`, that packs may add to the choices."""
        if spec.model_folder:
            self.details = {**self.details, "model_folder": spec.model_folder}


class CustomValidationError(NodeGraphError):
    """A node type's own check refuses its inputs, or fails itself; the code is ComfyUI's."""

    code = "custom_validation_failed"


class ConvertedValue(InputError):  # noqa: N818 - a remark
    """A remark: the literal is of another type, and was converted without loss."""

    code = "converted_value"


class DefaultedInput(InputError):  # noqa: N818 - a remark
    """A remark: a required input is not given, and has its default."""

    code = "defaulted_input"

    def __init__(self, node_id: NodeId, input_name: str, default: object) -> None:
        message = f"is missing; it is {short_repr(default)}, its default."
        super().__init__(node_id, input_name, message)


class UnknownInput(InputError):  # noqa: N818 - a remark
    """A remark: the node type has no such input; it is ignored."""

    code = "unknown_input"


class NotHereYet(InputError):  # noqa: N818 - a remark
    """A remark: the model is on a hub, and is downloaded when the workflow runs."""

    code = "not_here_yet"

    def __init__(self, node_id: NodeId, input_name: str, reference: str) -> None:
        super().__init__(
            node_id,
            input_name,
            f"is {short_repr(reference)}, which is downloaded when the workflow runs.",
            f"To do it now: nodegraph models pull {reference}",
        )
