"""Split the handwritten digits that ship inside scikit-learn into a training and a test table."""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--test-share", type=float, required=True, help="share of the images kept for the test")
parser.add_argument("--seed", type=int, required=True, help="makes the split repeatable")
parser.add_argument("--table", type=Path, required=True, help="where to write both tables (.npz)")
args = parser.parse_args()

images, digits = load_digits(return_X_y=True)
train_images, test_images, train_digits, test_digits = train_test_split(
    images, digits, test_size=args.test_share, random_state=args.seed, stratify=digits
)

# A file object, because numpy would add `.npz` to a path that lacks it.
with args.table.open("wb") as table:
    np.savez_compressed(
        table,
        train_images=train_images,
        train_digits=train_digits,
        test_images=test_images,
        test_digits=test_digits,
    )
print(f"{len(digits)} images: {len(train_digits)} to learn from, {len(test_digits)} to test on")
