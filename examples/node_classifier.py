"""NodeClassifier in ten lines: fit, score, save, load, and pictures.

    python examples/node_classifier.py --model gat --dataset citeseer --output folder

Writes the model, its learning curve, its confusion matrix, and a t-SNE of its hidden layer. Needs
``pip install 'graphembed[torch,plot]'``.
"""

import argparse
from pathlib import Path

import numpy as np

from graphembed.datasets import load_planetoid
from graphembed.estimators import NodeClassifier
from graphembed.plotting import plot_confusion_matrix, plot_embedding, plot_learning_curve

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", choices=("gcn", "cheb", "gat", "sage"), default="gcn")
parser.add_argument("--dataset", choices=("cora", "citeseer", "pubmed"), default="cora")
parser.add_argument("--epochs", type=int)
parser.add_argument("--output", type=Path, default=Path("node-classifier"))
args = parser.parse_args()

data = load_planetoid(args.dataset)
model = NodeClassifier(args.model, epochs=args.epochs, random_state=0, verbose=1)
model.fit(data.graph, data.x, data.y, train_mask=data.train_mask, val_mask=data.val_mask)
print(f"test accuracy {model.score(data.y, mask=data.test_mask):.1%}")

args.output.mkdir(parents=True, exist_ok=True)
model.save(args.output / "model.safetensors")
same = NodeClassifier.load(args.output / "model.safetensors")
assert np.array_equal(same.predict(data.graph, data.x), model.predict())

test, names = data.test_mask, dict(enumerate(data.label_names))
pictures = {
    "learning_curve": plot_learning_curve(model.history_, best_epoch=model.best_epoch_)[0],
    "confusion": plot_confusion_matrix(data.y[test], model.predict()[test], class_names=names),
    "hidden": plot_embedding(
        model.transform(), data.y, label_names=data.label_names, random_state=0
    ),
}
for name, ax in pictures.items():
    ax.figure.savefig(args.output / f"{name}.png")
print(f"{args.output}: the model and {len(pictures)} pictures")
