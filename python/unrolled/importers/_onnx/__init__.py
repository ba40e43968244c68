"""The parts of the reader of ONNX models, and its rules by subject."""
