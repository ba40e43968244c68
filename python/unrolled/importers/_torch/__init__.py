"""The parts of the reader of PyTorch models, and its rules by subject."""
