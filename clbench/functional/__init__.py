"""Pure tensor functions: losses, penalties, latent regularizers, importances. No state, no framework."""
