"""From files to handles: networks built, filled with weights, placed on a device."""
