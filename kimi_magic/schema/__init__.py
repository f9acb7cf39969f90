"""Python type ↔ JSON Schema ↔ checked value. pydantic does the work, and is imported on first use.

`output(wanted)` is what a reply has to be, `parameters(function)` what a function can be called with. Both give a JSON
Schema for the service and check what the model wrote, raising `Invalid` with reasons that the model can act on.
"""

from kimi_magic.schema.invalid import Invalid
from kimi_magic.schema.output import Output, output
from kimi_magic.schema.parameters import Parameters, parameters

__all__ = ["Invalid", "Output", "Parameters", "output", "parameters"]
