"""The parts of the reader of Keras models, and its rules by subject."""
