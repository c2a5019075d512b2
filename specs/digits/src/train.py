"""Fit a decision tree or a random forest to the training table and save it."""

import argparse
from pathlib import Path

import joblib
import numpy as np

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--table", required=True, help="what prepare.py wrote")
parser.add_argument("--estimator", choices=["tree", "forest"], required=True)
parser.add_argument("--max-depth", type=int, required=True, help="depth of each tree")
parser.add_argument("--trees", type=int, required=True, help="trees in the forest")
parser.add_argument("--seed", type=int, required=True, help="makes the training repeatable")
parser.add_argument("--model", type=Path, required=True, help="folder to write the model to")
args = parser.parse_args()

if args.estimator == "tree":
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(max_depth=args.max_depth, random_state=args.seed)
else:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(args.trees, max_depth=args.max_depth, random_state=args.seed, n_jobs=1)

table = np.load(args.table)
model.fit(table["train_images"], table["train_digits"])

args.model.mkdir(parents=True, exist_ok=True)
joblib.dump(model, args.model / "model.joblib")
print(f"{model} fitted to {len(table['train_digits'])} images")
