"""From a PyTorch module to an ONNX file that a target can run; torch is loaded in a child."""
