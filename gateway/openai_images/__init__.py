"""The OpenAI Images API over the product's own jobs, a file per subject."""
