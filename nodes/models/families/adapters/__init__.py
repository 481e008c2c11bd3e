"""Files of adapters and other small models: recognise them and read their configs."""
