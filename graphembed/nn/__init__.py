"""Graph layers on PyTorch, with PyTorch Geometric's names and calls; needs torch."""
