"""From a PyTorch module to an ONNX file that the target can run; torch is loaded in a child only."""
