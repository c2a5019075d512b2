"""Dispatch: handing accepted runs to their targets, following them, and telling targets what they should know.

Everything here may be repeated and may be interrupted anywhere: the registry says what is still owed, and a backend's
submit is create-if-absent.
"""
