"""Pictures: an embedding in two dimensions, the course of a training, a confusion matrix.

Figures are built with `matplotlib.figure.Figure`, never with ``pyplot``: no backend is chosen, no
window is opened, and nothing global changes.
"""

from graphembed.plotting._embedding import plot_embedding
from graphembed.plotting._training import plot_confusion_matrix, plot_learning_curve

__all__ = ["plot_confusion_matrix", "plot_embedding", "plot_learning_curve"]
