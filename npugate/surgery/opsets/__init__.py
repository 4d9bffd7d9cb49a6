"""Rewrite a model for another version of ai.onnx: our own table, operator by operator."""
