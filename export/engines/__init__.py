"""Compiles a bundle's graphs for one kind of machine: TensorRT and AOTInductor."""
