"""The program that the kit's steps run, the pipelines made of it, and what those must give."""
