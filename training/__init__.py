"""The making of the demo models in nodes/assets: data, networks, training, evaluation."""
