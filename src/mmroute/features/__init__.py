"""Features: embeddings of texts and images, side features, and their fusion."""
