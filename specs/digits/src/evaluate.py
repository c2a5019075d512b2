"""Score the model on the test table, and draw which digits it mistook for which."""

import argparse
from pathlib import Path

import joblib
import numpy as np
from matplotlib.figure import Figure

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--table", required=True, help="what prepare.py wrote")
parser.add_argument("--model", type=Path, required=True, help="folder that train.py wrote")
parser.add_argument("--accuracy", type=Path, required=True, help="where to write the share of right answers")
parser.add_argument("--confusion-matrix", required=True, help="where to write the picture (.png)")
args = parser.parse_args()

table = np.load(args.table)
truth = table["test_digits"]
answers = joblib.load(args.model / "model.joblib").predict(table["test_images"])

accuracy = float(np.mean(answers == truth))
args.accuracy.write_text(f"{accuracy}\n")

counts = np.zeros((10, 10), dtype=int)
np.add.at(counts, (truth, answers), 1)

figure = Figure(figsize=(5, 5), layout="constrained")
axes = figure.subplots()
axes.imshow(counts, cmap="Blues")
for true_digit, answer in np.ndindex(counts.shape):
    if counts[true_digit, answer]:
        colour = "white" if counts[true_digit, answer] > counts.max() / 2 else "black"
        axes.text(answer, true_digit, counts[true_digit, answer], ha="center", va="center", color=colour)
axes.set(xticks=range(10), yticks=range(10), xlabel="answer", ylabel="digit", title=f"accuracy {accuracy:.3f}")
figure.savefig(args.confusion_matrix, format="png")
print(f"{(answers == truth).sum()} of {len(truth)} right: accuracy {accuracy:.3f}")
