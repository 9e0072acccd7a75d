"""mmroute: offline measurement of routers over multimodal language models."""
