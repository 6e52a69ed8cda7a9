"""The same windowed job on other stream processors and on this project's kernels, side by side."""
