"""An Azure ML emulator: workspaces, components, batch endpoints and blobs as Azure has them, and jobs that run here."""
