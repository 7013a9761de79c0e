"""Turns a trained policy into an ONNX file that carries its own contract."""
