"""Parts that several families share: key tables, shapes, text encoders, VAEs."""
