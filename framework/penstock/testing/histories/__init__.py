"""Histories of calls: who makes them, how a failing one is made short, and the program that shows it."""
