"""Training, prediction, evaluation and checkpoints, for any system."""
