"""How the demo models in nodes/assets were made: data, networks, training, evaluation."""
